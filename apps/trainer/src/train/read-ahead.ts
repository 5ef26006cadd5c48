/** @file One batch ahead: the next one is decoded while the model computes. */
import type { LoadedBatch, TrainBatches } from "./parts.js";

export interface ReadAhead {
  /** The next batch; the one after it is begun. */
  next(): Promise<LoadedBatch>;
}

/** Read `count` batches and not one more, so that the loader's state is that of the run. */
export function readAhead(batches: TrainBatches, count: number): ReadAhead {
  let left = count;
  const begin = (): Promise<LoadedBatch> | undefined => {
    if (left-- <= 0) return undefined;
    const batch = batches.next();
    batch.catch(() => undefined); // awaited in the next round; must not count as unhandled meanwhile
    return batch;
  };
  let ahead = begin();
  return {
    async next() {
      const batch = await ahead;
      if (!batch) throw new RangeError("readAhead: all batches have been read");
      ahead = begin();
      return batch;
    },
  };
}
