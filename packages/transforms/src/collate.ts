/**
 * @file Transformed samples to what a model takes: leaves stacked along a new batch axis, openpi's snake_case
 * keys to the fields of `Observation`, floats to float32 (openpi `Observation.from_dict` and `_collate_fn`).
 */
import {
  type Actions,
  InsulaError,
  isNdArray,
  type NdArray,
  type Observation,
  type Sample,
  sizeOf,
} from "@insula/model-types";
import { actionMask } from "./actions.js";
import { numbersOf, requireArray, shapeText } from "./arrays.js";

/** A batch. Shapes: b = batch, h = horizon, d = action dim. */
export interface Batch {
  observation: Observation;
  /** `[b, h, d]`; absent at inference. */
  actions?: Actions;
  /** `[b, h, d]`, 1 where an action is real; present when asked for by `realActionDim`. */
  actionMask?: NdArray<Float32Array>;
}

/** Whether a batch carries an action mask. Without `realActionDim` it has none. */
export interface CollateOptions {
  /** Action dims of the robot. Given, the batch carries an `actionMask`, from it and `actions_is_pad`. */
  realActionDim?: number;
}

/**
 * Stack transformed samples into a batch. Samples must agree in keys and shapes.
 * @throws InsulaError `transforms/empty-batch`, `transforms/missing-key`, `transforms/shape` naming key,
 * sample, expected and found shape, `transforms/token-masks` for tokens without their mask.
 */
export function collate(samples: readonly Sample[], options: CollateOptions = {}): Batch {
  const first = samples[0];
  if (!first)
    throw new InsulaError("transforms/empty-batch", "collate: expected at least one sample, found none");
  const cameras = recordOf(first, "image");
  const images: Record<string, NdArray<Uint8Array>> = {};
  const imageMasks: Record<string, NdArray<Uint8Array>> = {};
  for (const camera of Object.keys(cameras)) {
    const each = samples.map((s) => recordOf(s, "image"));
    images[camera] = stack(each, camera, Uint8Array, "image");
    const masks = samples.map((s) =>
      Object.hasOwn(s, "image_mask") ? recordOf(s, "image_mask")[camera] : true,
    );
    imageMasks[camera] = {
      data: Uint8Array.from(masks, (m) => (m === undefined ? 1 : Number(isNdArray(m) ? m.data[0] : m))),
      shape: [samples.length],
    };
  }
  const observation: Observation = {
    images,
    imageMasks,
    state: stack(samples, "state", Float32Array),
  };
  if (Object.hasOwn(first, "tokenized_prompt") !== Object.hasOwn(first, "tokenized_prompt_mask")) {
    throw new InsulaError(
      "transforms/token-masks",
      "collate: tokenized_prompt and tokenized_prompt_mask must be provided together",
    );
  }
  if (Object.hasOwn(first, "tokenized_prompt")) {
    observation.tokenizedPrompt = stack(samples, "tokenized_prompt", Int32Array);
    observation.tokenizedPromptMask = stack(samples, "tokenized_prompt_mask", Uint8Array);
  }
  if (Object.hasOwn(first, "token_ar_mask")) {
    observation.tokenArMask = stack(samples, "token_ar_mask", Int32Array);
  }
  if (Object.hasOwn(first, "token_loss_mask")) {
    observation.tokenLossMask = stack(samples, "token_loss_mask", Uint8Array);
  }
  if (!Object.hasOwn(first, "actions")) return { observation };
  const actions = stack(samples, "actions", Float32Array);
  if (options.realActionDim === undefined) return { observation, actions };
  return { observation, actions, actionMask: stackMasks(samples, actions, options.realActionDim) };
}

/** The observation alone, as for inference: {@link collate} of samples with or without actions. */
export function toObservation(samples: readonly Sample[]): Observation {
  return collate(samples).observation;
}

function stackMasks(samples: readonly Sample[], actions: Actions, realDim: number): NdArray<Float32Array> {
  const [, horizon, actionDim] = actions.shape as [number, number, number];
  const masks = samples.map((sample) => {
    const isPad = sample["actions_is_pad"];
    return {
      mask: actionMask({
        ...(isNdArray(isPad) ? { actionsIsPad: Uint8Array.from(numbersOf(isPad.data)) } : {}),
        realDim,
        horizon,
        actionDim,
      }),
    };
  });
  return stack(masks, "mask", Float32Array);
}

function recordOf(sample: Sample, key: string): Sample {
  const value = sample[key];
  if (typeof value === "object" && !isNdArray(value)) return value;
  throw new InsulaError(
    "transforms/missing-key",
    `collate: expected a record of cameras under '${key}' (available: ${Object.keys(sample).join(", ")})`,
  );
}

type Numeric = Float32Array | Int32Array | Uint8Array;

/** Stack `key` of all samples to `[b, …]` of the given element type. */
function stack<T extends Numeric>(
  samples: readonly Sample[],
  key: string,
  Type: new (length: number) => T,
  prefix: string = "",
): NdArray<T> {
  const caller = `collate${prefix && `: ${prefix}`}`;
  const { shape } = requireArray(caller, samples[0]!, key);
  const size = sizeOf(shape);
  const data = new Type(samples.length * size);
  for (const [i, sample] of samples.entries()) {
    const x = requireArray(`${caller}: sample ${i}`, sample, key);
    if (x.shape.length !== shape.length || x.shape.some((d, axis) => d !== shape[axis])) {
      throw new InsulaError(
        "transforms/shape",
        `${caller}: ${key}: expected ${shapeText(shape)} as in sample 0, found ${shapeText(x.shape)} ` +
          `in sample ${i}`,
      );
    }
    data.set(numbersOf(x.data), i * size);
  }
  return { data, shape: [samples.length, ...shape] };
}
