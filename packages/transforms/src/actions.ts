/**
 * @file Transforms of actions and states: relative and absolute actions, subsampling, padding to the model's
 * width (openpi `DeltaActions`, `AbsoluteActions`, `SubsampleActions`, `PadStatesAndActions`).
 */
import { InsulaError, type NdArray, type Sample, sizeOf, type TypedArray } from "@insula/model-types";
import {
  asArray,
  isFloat,
  lastDim,
  numbersOf,
  padToDim,
  requireArray,
  shapeText,
  zerosLike,
} from "./arrays.js";
import { named, type Transform } from "./transform.js";

/**
 * A boolean mask from run lengths: `n` is `n` times true, `-n` is `n` times false, 0 nothing.
 * `makeBoolMask(7, -1)` is DROID's: seven joints, not the gripper.
 */
export function makeBoolMask(...dims: readonly number[]): boolean[] {
  return dims.flatMap((n) => new Array<boolean>(Math.abs(n)).fill(n > 0));
}

/**
 * Subtract the state from the masked dims of every step of `actions` `[…, horizon, dim]`: actions relative to
 * the state at the chunk's start. The element type of the actions stays. Without a mask or without actions the
 * sample is returned as it is. Runs before normalisation, in physical units. Upstream: `DeltaActions`.
 * @throws InsulaError `transforms/mask-width` when the mask is wider than state or actions, `transforms/shape` when
 * they do not pair up, `transforms/dtype` when integer actions would become fractions.
 */
export function deltaActions(mask?: readonly boolean[]): Transform {
  return shiftActions("deltaActions", mask, -1);
}

/**
 * The inverse of {@link deltaActions}, after unnormalisation: adds the sample's `state`. Upstream:
 * `AbsoluteActions`.
 */
export function absoluteActions(mask?: readonly boolean[]): Transform {
  return shiftActions("absoluteActions", mask, 1);
}

function shiftActions(name: string, mask: readonly boolean[] | undefined, sign: 1 | -1): Transform {
  return named(name, (sample) => {
    if (mask === undefined || !Object.hasOwn(sample, "actions")) return sample;
    const actions = requireArray(name, sample, "actions");
    const state = requireArray(name, sample, "state");
    const width = lastDim(actions);
    const stateWidth = lastDim(state);
    if (mask.length > width || mask.length > stateWidth) {
      throw new InsulaError(
        "transforms/mask-width",
        `${name}: a mask of ${mask.length} dims does not fit actions ${shapeText(actions.shape)} ` +
          `and state ${shapeText(state.shape)}`,
      );
    }
    return { ...sample, actions: shift(actions, state, mask, sign) };
  });
}

const notWhole = (value: number, dim: number, row: number): InsulaError =>
  new InsulaError(
    "transforms/dtype",
    `actions: ${value} at dim ${dim} of row ${row} does not fit integers; give actions as floats`,
  );

/** actions[i…, t, d] ± state[i…, d]: leading axes of the state, if any, pair with those of the actions. */
function shift(actions: NdArray, state: NdArray, mask: readonly boolean[], sign: 1 | -1): NdArray {
  const width = lastDim(actions);
  const stateWidth = lastDim(state);
  const from = numbersOf(actions.data);
  const states = numbersOf(state.data);
  const rows = from.length / width;
  const states0 = states.length / stateWidth;
  if (rows % states0 !== 0) {
    throw new InsulaError(
      "transforms/shape",
      `actions ${shapeText(actions.shape)} and state ${shapeText(state.shape)} do not pair up`,
    );
  }
  const data = zerosLike(actions.data, from.length);
  const big = data instanceof BigInt64Array || data instanceof BigUint64Array;
  const out = big ? new Float64Array(from.length) : (data as Float64Array);
  out.set(from);
  const whole = !isFloat(actions);
  for (let r = 0; r < rows; r++) {
    const s = Math.floor((r * states0) / rows) * stateWidth;
    for (let d = 0; d < mask.length; d++) {
      if (!mask[d]) continue;
      const moved = from[r * width + d]! + sign * states[s + d]!;
      if (whole && !Number.isInteger(moved)) throw notWhole(moved, d, r);
      out[r * width + d] = moved;
    }
  }
  if (big) for (let i = 0; i < out.length; i++) data[i] = BigInt(out[i]!);
  return { data, shape: actions.shape };
}

/**
 * Every `stride`-th action, from the first (`actions[::stride]`); `actions_is_pad` alike. Upstream:
 * `SubsampleActions`.
 * @throws InsulaError `transforms/missing-key` without actions (training only).
 */
export function subsampleActions(stride: number): Transform {
  if (!Number.isInteger(stride) || stride < 1) {
    throw new InsulaError(
      "transforms/stride",
      `subsampleActions: expected a positive integer, found ${stride}`,
    );
  }
  return named("subsampleActions", (sample) => {
    const out: Sample = {
      ...sample,
      actions: everyNth(requireArray("subsampleActions", sample, "actions"), stride),
    };
    const isPad = sample["actions_is_pad"];
    if (isPad !== undefined) {
      out["actions_is_pad"] = everyNth(asArray("subsampleActions", "actions_is_pad", isPad), stride);
    }
    return out;
  });
}

function everyNth<T extends TypedArray>(x: NdArray<T>, stride: number): NdArray<T> {
  const rows = Math.ceil(x.shape[0]! / stride);
  const width = sizeOf(x.shape.slice(1));
  const data = zerosLike(x.data, rows * width);
  for (let r = 0; r < rows; r++) {
    const row = x.data.subarray(r * stride * width, (r * stride + 1) * width);
    (data as Float64Array).set(row as Float64Array, r * width);
  }
  return { data, shape: [rows, ...x.shape.slice(1)] };
}

/**
 * Zero-pad the last axis of `state`, and of `actions` if there are any, to `actionDim`; wider ones are never
 * cut. Upstream: `PadStatesAndActions`.
 */
export function padStatesAndActions(actionDim: number): Transform {
  return named("padStatesAndActions", (sample) => {
    const out: Sample = {
      ...sample,
      state: padToDim(requireArray("padStatesAndActions", sample, "state"), actionDim),
    };
    if (Object.hasOwn(sample, "actions")) {
      out["actions"] = padToDim(requireArray("padStatesAndActions", sample, "actions"), actionDim);
    }
    return out;
  });
}

/**
 * Which entries of an action chunk are real, as weights for the action loss: 1 where the dim is below
 * `realDim` and the step is not padding, `[horizon, actionDim]`. Upstream keeps neither (padded dims and the
 * repeated last action of an episode are trained on).
 * @throws InsulaError `transforms/shape` when `actionsIsPad` is not `[horizon]`.
 */
export function actionMask(options: {
  /** `[horizon]`, 1 where a step lies beyond the episode's end. */
  actionsIsPad?: Uint8Array;
  /** Action dims of the robot, before padding. */
  realDim: number;
  horizon: number;
  /** Action dims of the model, after padding. */
  actionDim: number;
}): NdArray<Float32Array> {
  const { actionsIsPad, realDim, horizon, actionDim } = options;
  if (actionsIsPad && actionsIsPad.length !== horizon) {
    throw new InsulaError(
      "transforms/shape",
      `actionMask: actions_is_pad: expected [${horizon}], found [${actionsIsPad.length}]`,
    );
  }
  const data = new Float32Array(horizon * actionDim);
  for (let t = 0; t < horizon; t++) {
    if (!actionsIsPad?.[t]) data.fill(1, t * actionDim, t * actionDim + Math.min(realDim, actionDim));
  }
  return { data, shape: [horizon, actionDim] };
}
