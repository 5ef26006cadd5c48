/** @file Model outputs as LIBERO actions (openpi `policies/libero_policy.py` `LiberoOutputs`). */
import type { NdArray, TypedArray } from "@insula/model-types";
import { named, type Transform } from "@insula/transforms";
import { LIBERO_DIM, liberoArrays, shapeError } from "./state.js";

/**
 * Keep the first 7 dims of `actions` `[…, dim]`, six end-effector deltas and the gripper, and nothing else.
 * Upstream: `LiberoOutputs`.
 * @throws InsulaError `libero/missing-key` without actions, `libero/shape` for fewer than 7 dims.
 */
export function liberoOutputs(): Transform {
  return named("liberoOutputs", (sample) => {
    const actions = liberoArrays("liberoOutputs", sample)("actions");
    if (actions.shape.length < 1 || actions.shape.at(-1)! < LIBERO_DIM) {
      throw shapeError("actions", `[..., ${LIBERO_DIM} or more]`, actions);
    }
    return { actions: firstDims(actions) };
  });
}

function firstDims({ data, shape }: NdArray): NdArray {
  const width = shape.at(-1)!;
  const rows = data.length / width;
  const out = new (data.constructor as new (n: number) => TypedArray)(rows * LIBERO_DIM);
  for (let r = 0; r < rows; r++) {
    const row = data.subarray(r * width, r * width + LIBERO_DIM);
    (out as Float64Array).set(row as Float64Array, r * LIBERO_DIM);
  }
  return { data: out, shape: [...shape.slice(0, -1), LIBERO_DIM] };
}
