/** @file An observation as a LIBERO client would send it, for trying out policies (openpi `make_libero_example`). */
import type { NdArray } from "@insula/model-types";

/** The keys of a LIBERO observation. A `type`, so that it is a `Sample`. */
export type LiberoExample = {
  /** `[8]`: position (m), axis-angle (rad), two finger joints (m) */
  "observation/state": NdArray<Float64Array>;
  /** `[224, 224, 3]` */
  "observation/image": NdArray<Uint8Array>;
  /** `[224, 224, 3]` */
  "observation/wrist_image": NdArray<Uint8Array>;
  prompt: string;
};

/**
 * Random pixels, a state in 0…1, and the prompt "do something". Another one at each call, or with `seed` always
 * the same. Upstream: `make_libero_example`.
 */
export function makeLiberoExample(options: { seed?: number } = {}): LiberoExample {
  const random = options.seed === undefined ? Math.random : mulberry32(options.seed);
  const image = (): NdArray<Uint8Array> => {
    const data = new Uint8Array(224 * 224 * 3);
    for (let i = 0; i < data.length; i++) data[i] = random() * 256;
    return { data, shape: [224, 224, 3] };
  };
  return {
    "observation/state": { data: Float64Array.from({ length: 8 }, random), shape: [8] },
    "observation/image": image(),
    "observation/wrist_image": image(),
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
