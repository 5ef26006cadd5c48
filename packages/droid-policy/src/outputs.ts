/** @file Model outputs as DROID actions (openpi `policies/droid_policy.py` `DroidOutputs`). */
import { InsulaError, isNdArray, type NdArray, type TypedArray } from "@insula/model-types";
import { named, type Transform } from "@insula/transforms";
import { DROID_DIM, shapeError } from "./state.js";

/**
 * Keep the first 8 dims of `actions` `[…, dim]`, seven joints and the gripper, and nothing else. Upstream:
 * `DroidOutputs`.
 * @throws InsulaError `droid/missing-key` without actions, `droid/shape` for fewer than 8 dims.
 */
export function droidOutputs(): Transform {
  return named("droidOutputs", (sample) => {
    const actions = sample["actions"];
    if (actions === undefined) {
      throw new InsulaError(
        "droid/missing-key",
        `droidOutputs: missing key 'actions' (available: ${Object.keys(sample).join(", ") || "none"})`,
      );
    }
    if (!isNdArray(actions) || actions.shape.length < 1 || actions.shape.at(-1)! < DROID_DIM) {
      throw shapeError("actions", `[..., ${DROID_DIM} or more]`, actions as NdArray);
    }
    return { actions: firstDims(actions) };
  });
}

function firstDims(x: NdArray): NdArray {
  const width = x.shape.at(-1)!;
  const rows = x.data.length / width;
  const data = new (x.data.constructor as new (n: number) => TypedArray)(rows * DROID_DIM);
  for (let r = 0; r < rows; r++) {
    (data as Float64Array).set(
      x.data.subarray(r * width, r * width + DROID_DIM) as Float64Array,
      r * DROID_DIM,
    );
  }
  return { data, shape: [...x.shape.slice(0, -1), DROID_DIM] };
}
