/** @file LIBERO's proprioceptive state, and the lookups that name the key when something is missing. */
import { InsulaError, isNdArray, type Leaf, type NdArray, type Sample } from "@insula/model-types";
import { flatten } from "@insula/transforms";

/** Dims of LIBERO's actions: end-effector deltas x, y, z, roll, pitch, yaw, and the gripper. */
export const LIBERO_DIM = 7;

/** Dims of LIBERO's state. */
export const LIBERO_STATE_DIM = 8;

/** A sample's arrays under flat keys, with an error for those that are not there. */
export function liberoArrays(caller: string, sample: Sample): (key: string) => NdArray {
  const flat = flatten(sample);
  return (key) => {
    const leaf = Object.hasOwn(flat, key) ? flat[key] : undefined;
    if (leaf === undefined) {
      throw new InsulaError(
        "libero/missing-key",
        `${caller}: missing key '${key}' (available: ${Object.keys(flat).join(", ") || "none"})`,
      );
    }
    if (!isNdArray(leaf)) throw shapeError(key, "an array", leaf);
    return leaf;
  };
}

/**
 * `observation/state` `[8]`: end-effector position (m), its rotation as axis-angle (rad), two finger joints
 * (m). Needs no images, so statistics can be computed without decoding any.
 * @throws InsulaError `libero/missing-key`, `libero/shape`.
 */
export function liberoState(sample: Sample): NdArray {
  const key = "observation/state";
  const state = liberoArrays("liberoState", sample)(key);
  if (state.shape.length !== 1 || state.shape[0] !== LIBERO_STATE_DIM) {
    throw shapeError(key, `[${LIBERO_STATE_DIM}]`, state);
  }
  return state;
}

/** `observation/state: expected [8], found [7]` */
export function shapeError(key: string, expected: string, found: Leaf): InsulaError {
  const text = isNdArray(found) ? `[${found.shape.join(", ")}]` : `a ${typeof found}`;
  return new InsulaError("libero/shape", `${key}: expected ${expected}, found ${text}`);
}
