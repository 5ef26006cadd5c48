/** @file The fourteen dims of ALOHA's states and actions: per arm six joints (rad) and a gripper, left arm first. */
import { InsulaError, isNdArray, type Leaf } from "@insula/model-types";
import { makeBoolMask } from "@insula/transforms";

/** Dims of ALOHA's state and actions. */
export const ALOHA_DIM = 14;

/** Dims of the two grippers. */
export const GRIPPERS: readonly number[] = [6, 13];

/** Signs between ALOHA's joints and π0's: the second and third joint of each arm turn the other way. */
export const ALOHA_JOINT_FLIP: readonly number[] = [1, -1, -1, 1, 1, 1, 1, 1, -1, -1, 1, 1, 1, 1];

/** The mask for `deltaActions` and `absoluteActions`: joints relative to the state, grippers absolute. */
export function alohaDeltaMask(): boolean[] {
  return makeBoolMask(6, -1, 6, -1);
}

/** `state: expected [14], found [7]` */
export function shapeError(key: string, expected: string, found: Leaf): InsulaError {
  const text = isNdArray(found) ? `[${found.shape.join(", ")}]` : `a ${typeof found}`;
  return new InsulaError("aloha/shape", `${key}: expected ${expected}, found ${text}`);
}
