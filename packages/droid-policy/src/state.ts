/** @file DROID's proprioceptive state: seven joint positions and the gripper. */
import { InsulaError, isNdArray, type Leaf, type NdArray, type Sample } from "@insula/model-types";
import { flatten } from "@insula/transforms";

/** Dims of DROID's state and actions. */
export const DROID_DIM = 8;

/** A sample's leaves under flat keys, with an error for those that are not there. */
export function droidLeaves(caller: string, sample: Sample): (key: string) => Leaf {
  const flat = flatten(sample);
  return (key) => {
    const leaf = flat[key];
    if (leaf !== undefined) return leaf;
    throw new InsulaError(
      "droid/missing-key",
      `${caller}: missing key '${key}' (available: ${Object.keys(flat).join(", ") || "none"})`,
    );
  };
}

/**
 * `observation/joint_position` `[7]` and `observation/gripper_position` (a number, `[]` or `[1]`) joined to the
 * state `[8]`: joints in radians, gripper 0 open … 1 closed. Float32 if both are, else float64. Needs no
 * images, so statistics can be computed without decoding any.
 * @throws InsulaError `droid/missing-key`, `droid/shape`.
 */
export function droidState(sample: Sample): NdArray<Float32Array | Float64Array> {
  const get = droidLeaves("droidState", sample);
  const joints = get("observation/joint_position");
  const gripper = get("observation/gripper_position");
  if (!isNdArray(joints) || joints.shape.length !== 1 || joints.shape[0] !== 7) {
    throw shapeError("observation/joint_position", "[7]", joints);
  }
  const scalar = typeof gripper === "number";
  if (!scalar && !(isNdArray(gripper) && gripper.shape.length <= 1 && gripper.data.length === 1)) {
    throw shapeError("observation/gripper_position", "a number or [1]", gripper);
  }
  const single = joints.data instanceof Float32Array && (scalar || gripper.data instanceof Float32Array);
  const data = single ? new Float32Array(DROID_DIM) : new Float64Array(DROID_DIM);
  for (let i = 0; i < 7; i++) data[i] = Number(joints.data[i]);
  data[7] = Number(scalar ? gripper : gripper.data[0]);
  return { data, shape: [DROID_DIM] };
}

/** `observation/joint_position: expected [7], found [6]` */
export function shapeError(key: string, expected: string, found: Leaf): InsulaError {
  const text = isNdArray(found) ? `[${found.shape.join(", ")}]` : `a ${typeof found}`;
  return new InsulaError("droid/shape", `${key}: expected ${expected}, found ${text}`);
}
