/**
 * @file The order in which frames are visited: a permutation per epoch, a function of (seed, epoch) alone, so
 * that a resumed run continues exactly where it stopped.
 */
import { InsulaError } from "@insula/model-types";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

/** Everything needed to continue; plain JSON. `position` counts the indices already taken from `epoch`. */
export interface SamplerState {
  seed: number;
  length: number;
  shuffle: boolean;
  epoch: number;
  position: number;
}

/** An endless walk over the indices `[0, length)`: each once per epoch, in that epoch's own order. */
export interface Sampler {
  /** The next index in `[0, length)`; epochs follow each other without end. */
  next(): number;
  /** Skip what is left of this epoch. */
  nextEpoch(): void;
  /** A snapshot: a sampler made from it continues with the index that {@link Sampler.next} would give now. */
  state(): SamplerState;
}

/** What determines the order: the number of indices (below 2^32), the seed, and whether to shuffle at all. */
export interface SamplerOptions {
  length: number;
  /** An integer in `[0, 2^32)`. */
  seed: number;
  /** Default: true. */
  shuffle?: boolean;
  /** Continue from here. @throws when it belongs to another length, seed or shuffle. */
  state?: SamplerState;
}

/**
 * The permutation of epoch `epoch`: Fisher–Yates on the stream that the generator of `seed` reaches after
 * `epoch + 1` jumps (of 2^64 numbers each), so epochs and seeds never share random numbers.
 */
export function epochOrder(length: number, seed: number, epoch: number): Uint32Array {
  const rng = xoroshiro128plus(seed);
  for (let e = 0; e <= epoch; e++) rng.jump();
  const order = Uint32Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = uniformInt(rng, 0, i);
    const swapped = order[i]!;
    order[i] = order[j]!;
    order[j] = swapped;
  }
  return order;
}

/** Make a sampler. @throws InsulaError `sampler/length`, `sampler/seed`, `sampler/state`. */
export function createSampler({ length, seed, shuffle = true, state }: SamplerOptions): Sampler {
  if (!(Number.isSafeInteger(length) && length > 0 && length < 2 ** 32)) {
    throw new InsulaError("sampler/length", `sampler: expected a length of at least 1, found ${length}`);
  }
  if (!(Number.isSafeInteger(seed) && seed >= 0 && seed < 2 ** 32)) {
    throw new InsulaError("sampler/seed", `sampler: expected a seed in [0, 2^32), found ${seed}`);
  }
  if (state) checkState(state, { length, seed, shuffle });
  let { epoch, position } = state ?? { epoch: 0, position: 0 };
  let order: Uint32Array | undefined;

  const nextEpoch = (): void => {
    epoch++;
    position = 0;
    order = undefined;
  };
  return {
    next() {
      if (position === length) nextEpoch();
      if (!shuffle) return position++;
      order ??= epochOrder(length, seed, epoch);
      return order[position++]!;
    },
    nextEpoch,
    state: () => ({ seed, length, shuffle, epoch, position }),
  };
}

function checkState(state: SamplerState, expected: { length: number; seed: number; shuffle: boolean }): void {
  for (const key of ["length", "seed", "shuffle"] as const) {
    if (state[key] === expected[key]) continue;
    throw new InsulaError(
      "sampler/state",
      `sampler: cannot resume: ${key} was ${state[key]}, now it is ${expected[key]}`,
    );
  }
  const { epoch, position, length } = state;
  const valid = [epoch, position].every((n) => Number.isSafeInteger(n) && n >= 0) && position <= length;
  if (!valid)
    throw new InsulaError("sampler/state", `sampler: bad state: epoch ${epoch}, position ${position}`);
}
