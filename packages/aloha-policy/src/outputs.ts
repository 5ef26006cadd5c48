/** @file Model outputs as ALOHA actions (openpi `policies/aloha_policy.py` `AlohaOutputs`). */
import { InsulaError, isNdArray, type NdArray, type TypedArray } from "@insula/model-types";
import { named, type Transform } from "@insula/transforms";
import type { AlohaOptions } from "./inputs.js";
import { ALOHA_DIM, shapeError } from "./joints.js";
import { alohaActionsFromModel } from "./spaces.js";

/**
 * Keep the first 14 dims of `actions` `[…, dim]`, converted to the robot's joints and gripper commands, and
 * nothing else. Upstream: `AlohaOutputs`.
 * @throws InsulaError `aloha/missing-key` without actions, `aloha/shape` for fewer than 14 dims.
 */
export function alohaOutputs({ adaptToPi = true }: AlohaOptions = {}): Transform {
  return named("alohaOutputs", (sample) => {
    const actions = sample["actions"];
    if (actions === undefined) {
      throw new InsulaError(
        "aloha/missing-key",
        `alohaOutputs: missing key 'actions' (available: ${Object.keys(sample).join(", ") || "none"})`,
      );
    }
    if (!isNdArray(actions) || actions.shape.length < 1 || actions.shape.at(-1)! < ALOHA_DIM) {
      throw shapeError("actions", `[..., ${ALOHA_DIM} or more]`, actions as NdArray);
    }
    const own = firstDims(actions);
    return { actions: adaptToPi ? alohaActionsFromModel(own) : own };
  });
}

function firstDims({ data, shape }: NdArray): NdArray {
  const width = shape.at(-1)!;
  const rows = data.length / width;
  const out = new (data.constructor as new (n: number) => TypedArray)(rows * ALOHA_DIM);
  for (let r = 0; r < rows; r++) {
    const row = data.subarray(r * width, r * width + ALOHA_DIM);
    (out as Float64Array).set(row as Float64Array, r * ALOHA_DIM);
  }
  return { data: out, shape: [...shape.slice(0, -1), ALOHA_DIM] };
}
