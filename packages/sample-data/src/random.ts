/**
 * @file The seeded generator behind every draw: xoroshiro128+ from pure-rand. One stream per scene and per
 * episode, so that episode k is the same whether 4 or 64 episodes are made.
 */
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

/** A seeded, mutable source of random numbers. */
export interface Random {
  /** Uniform in [low, high). */
  uniform(low: number, high: number): number;
  /** Uniform integer in [low, high], both included. */
  integer(low: number, high: number): number;
  /** One of `items`, which must not be empty. */
  choice<T>(items: readonly T[]): T;
  /** A new array with the items of `items` in random order. */
  shuffle<T>(items: readonly T[]): T[];
}

/** The stream `stream` of `seed`; equal arguments give equal draws, on every platform. */
export function makeRandom(seed: number, stream: number): Random {
  // xoroshiro128+ expands a 32-bit seed: mix both numbers into one (Knuth's multiplicative constant).
  const generator = xoroshiro128plus((seed ^ Math.imul(stream + 1, 0x9e3779b1)) | 0);
  for (let i = 0; i < 16; i++) generator.next(); // nearby seeds start correlated
  const integer = (low: number, high: number) => uniformInt(generator, low, high);
  return {
    uniform: (low, high) => low + (high - low) * uniformFloat64(generator),
    integer,
    choice: (items) => items[integer(0, items.length - 1)]!,
    shuffle(items) {
      const out = [...items];
      for (let i = out.length - 1; i > 0; i--) {
        const j = integer(0, i);
        [out[i], out[j]] = [out[j]!, out[i]!];
      }
      return out;
    },
  };
}
