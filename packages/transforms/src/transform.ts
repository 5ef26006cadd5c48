/**
 * @file A transform is a pure function from sample to sample; a pipeline is a list of them. The counterpart of
 * openpi's `transforms.py` `DataTransformFn`, `CompositeTransform` and `Group`, without the mutation: a
 * transform returns a new record and leaves every array of its input as it was.
 */
import type { Sample } from "@insula/model-types";

/**
 * Maps one un-batched sample to the next. `name` is the factory's name (`"resizeImages"`), so that a pipeline
 * can be printed and asserted.
 */
export interface Transform {
  (sample: Sample): Sample;
  readonly name: string;
}

/** Transforms on the way into a model and on the way out of it (openpi `Group`). */
export interface Group {
  readonly inputs: readonly Transform[];
  readonly outputs: readonly Transform[];
}

/** Give `fn` the name under which it shows in a pipeline. */
export function named(name: string, fn: (sample: Sample) => Sample): Transform {
  return Object.defineProperty(fn, "name", { value: name, configurable: true });
}

/** Apply `transforms` in order (openpi `compose`, `CompositeTransform`). No transforms: the identity. */
export function compose(transforms: readonly Transform[]): Transform {
  return named(`compose(${transforms.map((t) => t.name).join(", ")})`, (sample) => {
    let out = sample;
    for (const transform of transforms) out = transform(out);
    return out;
  });
}

/** A {@link Group}, either side of which may be left out. */
export function group(parts: Partial<Group> = {}): Group {
  return { inputs: parts.inputs ?? [], outputs: parts.outputs ?? [] };
}

/**
 * `base` followed by `next` (openpi `Group.push`): inputs are appended, outputs are *prepended*, so that what
 * is done last on the way in is undone first on the way out.
 */
export function pushGroup(base: Group, next: Partial<Group>): Group {
  return {
    inputs: [...base.inputs, ...(next.inputs ?? [])],
    outputs: [...(next.outputs ?? []), ...base.outputs],
  };
}
