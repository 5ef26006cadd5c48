/** @file An observation as an ALOHA would send it, for trying out policies (openpi `make_aloha_example`). */
import type { NdArray } from "@insula/model-types";
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
  const random = options.seed === undefined ? Math.random : mulberry32(options.seed);
  const image = (): NdArray<Uint8Array> => {
    const data = new Uint8Array(3 * 224 * 224);
    for (let i = 0; i < data.length; i++) data[i] = random() * 256;
    return { data, shape: [3, 224, 224] };
  };
  return {
    state: { data: new Float64Array(ALOHA_DIM).fill(1), shape: [ALOHA_DIM] },
    images: Object.fromEntries(ALOHA_CAMERAS.map((c) => [c, image()])) as AlohaExample["images"],
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
