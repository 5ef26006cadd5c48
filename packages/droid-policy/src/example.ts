/** @file An observation as a DROID robot would send it, for trying out policies (openpi `make_droid_example`). */
import type { NdArray } from "@insula/model-types";

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
  const random = options.seed === undefined ? Math.random : mulberry32(options.seed);
  const image = (): NdArray<Uint8Array> => {
    const data = new Uint8Array(224 * 224 * 3);
    for (let i = 0; i < data.length; i++) data[i] = random() * 256;
    return { data, shape: [224, 224, 3] };
  };
  const vector = (n: number): NdArray<Float64Array> => ({
    data: Float64Array.from({ length: n }, random),
    shape: [n],
  });
  return {
    "observation/exterior_image_1_left": image(),
    "observation/wrist_image_left": image(),
    "observation/joint_position": vector(7),
    "observation/gripper_position": vector(1),
    prompt: "do something",
  };
}

/** Tommy Ettinger's mulberry32, uniform in [0, 1): enough for examples, not for training. */
function mulberry32(seed: number): () => number {
  let a = seed | 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
