/** @file An observation as an ALOHA would send it, for trying out policies (openpi `make_aloha_example`). */
import type { NdArray } from "@insula/model-types";
import { exampleDraws } from "@insula/transforms";
import { ALOHA_CAMERAS, type AlohaCamera } from "./inputs.js";
import { ALOHA_DIM } from "./joints.js";

/** The keys of an ALOHA observation. A `type`, so that it is a `Sample`. */
export type AlohaExample = {
  /** `[14]`: per arm six joints (rad) and the gripper, 0 closed … 1 open */
  state: NdArray<Float64Array>;
  /** `[3, 224, 224]` each */
  images: Record<AlohaCamera, NdArray<Uint8Array>>;
  prompt: string;
};

/**
 * Random pixels, a state of ones, and the prompt "do something". Another one at each call, or with `seed` always
 * the same. Upstream: `make_aloha_example`.
 */
export function makeAlohaExample(options: { seed?: number } = {}): AlohaExample {
  const { image } = exampleDraws(options.seed);
  return {
    state: { data: new Float64Array(ALOHA_DIM).fill(1), shape: [ALOHA_DIM] },
    images: Object.fromEntries(ALOHA_CAMERAS.map((c) => [c, image([3, 224, 224])])) as AlohaExample["images"],
    prompt: "do something",
  };
}
