/** @file Names of the numbers of a feature, in the ways info.json writes them. */
import { sizeOf } from "@insula/model-types";
import type { FeatureSpec } from "../features.js";

/**
 * One name per number of a feature: from a list, a list in a list, or a record of lists (`{"motors": [...]}`);
 * undefined where `names` does not name them all.
 */
export function dimNames({ names, shape }: FeatureSpec): string[] | undefined {
  const size = sizeOf(shape);
  const lists: unknown[] =
    names === null || names === undefined
      ? []
      : Array.isArray(names)
        ? [names, ...names]
        : Object.values(names);
  const complete = lists.find(
    (list): list is string[] =>
      Array.isArray(list) && list.length === size && list.every((name) => typeof name === "string"),
  );
  return complete && new Set(complete).size === size && size > 1 ? [...complete] : undefined;
}

/** `actions[3]`, with the number's name where it has one: `actions[3] (elbow)`; the bare name for a single number. */
export function dimLabel(name: string, feature: FeatureSpec, dim: number): string {
  if (sizeOf(feature.shape) === 1) return name;
  const label = dimNames(feature)?.[dim];
  return `${name}[${dim}]${label === undefined ? "" : ` (${label})`}`;
}
