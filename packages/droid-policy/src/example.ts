/** @file An observation as a DROID robot would send it, for trying out policies (openpi `make_droid_example`). */
import type { NdArray } from "@insula/model-types";
import { exampleDraws } from "@insula/transforms";

/** The keys of a DROID observation. A `type`, so that it is a `Sample`. */
export type DroidExample = {
  /** `[224, 224, 3]` */
  "observation/exterior_image_1_left": NdArray<Uint8Array>;
  /** `[224, 224, 3]` */
  "observation/wrist_image_left": NdArray<Uint8Array>;
  /** `[7]`, radians */
  "observation/joint_position": NdArray<Float64Array>;
  /** `[1]`, 0 open … 1 closed */
  "observation/gripper_position": NdArray<Float64Array>;
  prompt: string;
};

/**
 * Random pixels, joints and gripper in 0…1, and the prompt "do something". Another one at each call, or with
 * `seed` always the same. Upstream: `make_droid_example`.
 */
export function makeDroidExample(options: { seed?: number } = {}): DroidExample {
  const { image, vector } = exampleDraws(options.seed);
  return {
    "observation/exterior_image_1_left": image([224, 224, 3]),
    "observation/wrist_image_left": image([224, 224, 3]),
    "observation/joint_position": vector(7),
    "observation/gripper_position": vector(1),
    prompt: "do something",
  };
}
