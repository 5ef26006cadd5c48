/**
 * @file From the space of a standard ALOHA to the one that π0's base model was trained in and back: joint signs
 * and gripper units (openpi `policies/aloha_policy.py`). Results are float64, as numpy promotes them there.
 */
import type { NdArray } from "@insula/model-types";
import { gripperAngularToCommand, gripperCommandToAngular, gripperLinearToAngular } from "./gripper.js";
import { ALOHA_DIM, ALOHA_JOINT_FLIP, GRIPPERS, shapeError } from "./joints.js";

/**
 * A reported state `[14]` in the model's space: joints flipped, grippers linear → angular (`_decode_state`).
 * @throws InsulaError `aloha/shape`.
 */
export function alohaStateToModel(state: NdArray): NdArray<Float64Array> {
  if (state.shape.length !== 1) throw shapeError("state", `[${ALOHA_DIM}]`, state);
  return convert("state", state, gripperLinearToAngular);
}

/**
 * Recorded actions `[horizon, 14]` in the model's space: joints flipped, grippers command → angular
 * (`_encode_actions_inv`). @throws InsulaError `aloha/shape`.
 */
export function alohaActionsToModel(actions: NdArray): NdArray<Float64Array> {
  return convert("actions", actions, gripperCommandToAngular);
}

/**
 * A model's actions `[…, 14]` as the robot takes them: joints flipped, grippers angular → command
 * (`_encode_actions`). @throws InsulaError `aloha/shape`.
 */
export function alohaActionsFromModel(actions: NdArray): NdArray<Float64Array> {
  return convert("actions", actions, gripperAngularToCommand);
}

function convert(key: string, x: NdArray, gripper: (v: number) => number): NdArray<Float64Array> {
  if (x.shape.at(-1) !== ALOHA_DIM || x.data.length % ALOHA_DIM !== 0) {
    throw shapeError(key, key === "state" ? `[${ALOHA_DIM}]` : `[..., ${ALOHA_DIM}]`, x);
  }
  const data = new Float64Array(x.data.length);
  for (let i = 0; i < data.length; i++) data[i] = ALOHA_JOINT_FLIP[i % ALOHA_DIM]! * Number(x.data[i]);
  for (const dim of GRIPPERS) {
    for (let i = dim; i < data.length; i += ALOHA_DIM) data[i] = gripper(data[i]!);
  }
  return { data, shape: x.shape };
}
