/** @file Which held-out frames are looked at: the same ones at every validation. */
import type { Episode } from "@insula/lerobot-dataset";

export interface HeldOutOptions {
  /** Most episodes to look at; null: all. */
  episodes: number | null;
  /** Frames for the losses: at most so many, and a multiple of `batchSize`. */
  batches: number;
  batchSize: number;
  /** Frames at which chunks of `horizon` steps are sampled. */
  sampledChunks: number;
  horizon: number;
}

/** Frame numbers of the dataset. */
export interface HeldOutFrames {
  losses: number[];
  chunks: number[];
}

/**
 * Spread frames evenly over the episodes' frames. Chunks begin where the episode has a whole one ahead, if any does.
 * Fewer frames than a batch are repeated to fill one.
 */
export function heldOutFrames(
  heldOut: readonly Pick<Episode, "from" | "to">[],
  { episodes, batches, batchSize, sampledChunks, horizon }: HeldOutOptions,
): HeldOutFrames {
  const chosen = episodes === null ? heldOut : spread(heldOut, Math.min(episodes, heldOut.length));
  const frames = chosen.flatMap(({ from, to }) => range(from, to));
  const whole = Math.max(1, Math.min(batches, Math.floor(frames.length / batchSize)));
  const starts = chosen.flatMap(({ from, to }) => range(from, Math.max(from + 1, to - horizon + 1)));
  return {
    losses: spread(frames, whole * batchSize),
    chunks: spread(starts, Math.min(sampledChunks, starts.length)),
  };
}

/** `count` of the items, evenly spaced, each from the middle of its share; some again when there are fewer. */
export function spread<T>(items: readonly T[], count: number): T[] {
  if (items.length === 0) return [];
  return Array.from({ length: count }, (_, i) => items[Math.floor(((i + 0.5) * items.length) / count)]!);
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
