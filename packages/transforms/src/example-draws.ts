/**
 * @file Random pixels and numbers for example observations, which every robot's package makes. For trying things out,
 * not for training.
 */
import { type NdArray, sizeOf } from "@insula/model-types";
import { keyedRandom } from "./image/random.js";

/** Where an example's values come from. */
export interface ExampleDraws {
  /** uint8 pixels of this shape. */
  image(shape: readonly number[]): NdArray<Uint8Array>;
  /** `[n]`, uniform in 0…1. */
  vector(n: number): NdArray<Float64Array>;
}

/** Other values at each call, or with `seed` always the same. */
export function exampleDraws(seed?: number): ExampleDraws {
  const random = seed === undefined ? Math.random : keyedRandom(seed);
  return {
    image(shape) {
      const data = new Uint8Array(sizeOf(shape));
      for (let i = 0; i < data.length; i++) data[i] = random() * 256;
      return { data, shape };
    },
    vector: (n) => ({ data: Float64Array.from({ length: n }, random), shape: [n] }),
  };
}
