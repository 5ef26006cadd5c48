/** @file An observation as a LIBERO client would send it, for trying out policies (openpi `make_libero_example`). */
import type { NdArray } from "@insula/model-types";
import { exampleDraws } from "@insula/transforms";

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
  const { image, vector } = exampleDraws(options.seed);
  return {
    "observation/state": vector(8),
    "observation/image": image([224, 224, 3]),
    "observation/wrist_image": image([224, 224, 3]),
    prompt: "do something",
  };
}
