/**
 * @file The run's random numbers: seeded, made here and fed to the graphs as inputs, so that a run can be
 * repeated, resumed in the middle and compared with recorded draws. One generator per purpose (noise,
 * shuffling, initialisation), so that drawing more of one does not shift the others.
 */
import type { FlowDraws } from "@insula/ki-model";
import { InsulaError } from "@insula/model-types";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plusFromState } from "pure-rand/generator/xoroshiro128plus";

/** A generator's whole state, as JSON. */
export interface RngState {
  algorithm: "xoroshiro128plus";
  state: number[];
}

/** A seeded generator. Every method advances it. */
export interface Rng {
  /** Uniform in [0, 1), 53 bits. */
  uniform(): number;
  /** Fill `out` with N(0, 1). */
  normal(out: Float32Array): Float32Array;
  state(): RngState;
}

/**
 * A generator for `purpose`, or the continuation of a saved one.
 * @throws InsulaError `rng/state` when the saved state is of another algorithm or malformed.
 */
export function makeRng(source: { seed: number; purpose: string } | RngState): Rng {
  const words = "seed" in source ? seedWords(source.seed, source.purpose) : checkedState(source);
  const generator = xoroshiro128plusFromState(words);
  return {
    uniform: () => uniformFloat64(generator),
    normal(out) {
      // Box–Muller, both values of a pair used; nothing is carried to the next call, so the state is the generator's.
      for (let i = 0; i < out.length; i += 2) {
        const radius = Math.sqrt(-2 * Math.log(1 - uniformFloat64(generator)));
        const angle = 2 * Math.PI * uniformFloat64(generator);
        out[i] = radius * Math.cos(angle);
        if (i + 1 < out.length) out[i + 1] = radius * Math.sin(angle);
      }
      return out;
    },
    state: () => ({ algorithm: "xoroshiro128plus", state: [...generator.getState()] }),
  };
}

/**
 * The draws of one flow-matching step (openpi `models/pi0.py` `compute_loss`), k per sample: noise `[b·k, h, d]` ~
 * N(0, 1), time `[b·k]` = Beta(1.5, 1) · 0.999 + 0.001, where Beta(1.5, 1) = U^(2/3) by inversion of its CDF x^1.5.
 */
export function flowDraws(
  rng: Rng,
  size: { batchSize: number; flowDraws?: number; actionHorizon: number; actionDim: number },
): FlowDraws {
  const { batchSize, flowDraws: k = 1, actionHorizon: h, actionDim: d } = size;
  const b = batchSize * k;
  const noise = { data: rng.normal(new Float32Array(b * h * d)), shape: [b, h, d] };
  const time = { data: new Float32Array(b), shape: [b] };
  for (let i = 0; i < b; i++) time.data[i] = rng.uniform() ** (2 / 3) * 0.999 + 0.001;
  return { noise, time };
}

/** FNV-1a of the purpose folded into the seed, spread over 128 bits by splitmix32 (nearby seeds stay unrelated). */
function seedWords(seed: number, purpose: string): number[] {
  let hash = 0x811c9dc5 ^ (seed | 0) ^ Math.imul(Math.floor(seed / 2 ** 32) | 0, 0x9e3779b1);
  for (const char of new TextEncoder().encode(purpose)) hash = Math.imul(hash ^ char, 0x01000193);
  return Array.from({ length: 4 }, () => {
    hash = (hash + 0x9e3779b9) | 0;
    let z = hash;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  });
}

function checkedState(saved: RngState): number[] {
  const { algorithm, state } = saved;
  const ok = Array.isArray(state) && state.length === 4 && state.every((w) => Number.isInteger(w));
  if (algorithm !== "xoroshiro128plus" || !ok) {
    throw new InsulaError(
      "rng/state",
      `generator state: expected xoroshiro128plus with 4 integers, found ${JSON.stringify(saved)}`,
    );
  }
  return state;
}
