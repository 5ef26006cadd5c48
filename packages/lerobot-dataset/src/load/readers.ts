/** @file Who reads samples for a loader: this process, or worker threads (worker-pool.ts). */
import type { Sample } from "@insula/model-types";
import type { FrameSource } from "../frame-source.js";
import type { SampleOptions } from "../read/sample.js";
import type { BatchSlot } from "./plan.js";

export interface Reader {
  /** Read frame `index` for a place in a batch. */
  read(index: number, slot: BatchSlot): Promise<Sample>;
  close(): Promise<void>;
}

/** Read in this process. */
export function localReader(source: FrameSource, options: SampleOptions): Reader {
  return {
    read: (index) => source.sample(index, options),
    close: async () => {},
  };
}

/**
 * `indices` by position, those of one episode together and in its own order: in which order a batch is read is
 * free, and decoders go forward.
 */
export function readingOrder(source: FrameSource, indices: readonly number[]): number[] {
  const positions = indices.map((_, i) => i);
  if (!source.locate) return positions;
  const places = indices.map((index) => source.locate!(index));
  return positions.sort((a, b) => {
    const [x, y] = [places[a]!, places[b]!];
    if (x.dataset !== y.dataset) return x.dataset < y.dataset ? -1 : 1;
    return x.episode - y.episode || x.frame - y.frame || a - b;
  });
}
