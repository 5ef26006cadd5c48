/**
 * @file Which frames make up which batch, for every rank: a function of the sampler's state alone, so that neither
 * workers nor prefetching nor a resume can change it.
 */
import { epochOrder, type SamplerState } from "./sampler.js";

/** What a plan is made from. */
export interface PlanOptions {
  /** Where to begin; its `length` is that of an epoch. */
  start: SamplerState;
  /** Samples per batch and rank. */
  batchSize: number;
  rank: number;
  worldSize: number;
  dropLast: boolean;
  /** Epochs in all. */
  epochs: number;
  /** A source's own order, for shuffled epochs. */
  order?: (seed: number, epoch: number) => Uint32Array;
}

/**
 * The place of a sample: which batch since the very first, which row of it, all ranks together. The same for a
 * resumed run and for any number of workers and ranks: what random draws should follow from.
 */
export interface BatchSlot {
  readonly batch: number;
  readonly row: number;
}

/** One rank's part of a batch. */
export interface PlannedBatch {
  /** Batches before this one, earlier epochs included. */
  number: number;
  /** Of this rank's first sample in the whole batch. */
  row: number;
  /** Positions `[from, to)` in the epoch's order. */
  from: number;
  to: number;
  /** The index at a position of this epoch; positions beyond the end begin again. */
  at(position: number): number;
  /** The state after the whole batch, the same for each rank. */
  after: SamplerState;
}

/**
 * The batches from `start` on. A batch of all ranks is `batchSize · worldSize` consecutive positions, rank after
 * rank. An epoch's smaller rest is left out with `dropLast`; else it is shared out as evenly as it goes: every rank
 * gets a batch, of as many samples as the others or one fewer.
 */
export function* planBatches(options: PlanOptions): Generator<PlannedBatch, undefined> {
  const { start, batchSize, rank, worldSize, dropLast, epochs } = options;
  const { seed, length, shuffle } = start;
  const together = batchSize * worldSize;
  const perEpoch = dropLast ? Math.floor(length / together) : Math.ceil(length / together);
  let { epoch, position } = start;
  let at: PlannedBatch["at"] | undefined;
  for (;;) {
    let left = length - position;
    if (left === 0 || (dropLast && left < together)) {
      epoch++;
      [position, left, at] = [0, length, undefined];
    }
    if (epoch >= epochs) return;
    if (!at) {
      const order = shuffle ? (options.order ?? ownOrder(length))(seed, epoch) : undefined;
      at = order ? (p) => order[p % length]! : (p) => p % length;
    }
    const number = epoch * perEpoch + Math.floor(position / together);
    const size = Math.min(together, left);
    const row = Math.floor((size * rank) / worldSize);
    const from = position + row;
    const to = position + Math.floor((size * (rank + 1)) / worldSize);
    position += size;
    yield { number, row, from, to, at, after: { seed, length, shuffle, epoch, position } };
  }
}

const ownOrder = (length: number) => (seed: number, epoch: number) => epochOrder(length, seed, epoch);
