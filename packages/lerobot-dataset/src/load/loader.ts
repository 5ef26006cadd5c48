/**
 * @file Batches of samples for training: in an order that only seed and epoch decide, the next few prepared in the
 * background by this process or by worker threads while the current one is used.
 */
import { InsulaError, type Sample } from "@insula/model-types";
import type { FrameSource } from "../frame-source.js";
import type { SampleOptions } from "../read/sample.js";
import { chooseEpisodes } from "./choose-episodes.js";
import { datasetWorker } from "./dataset-worker-spec.js";
import { type BatchSlot, type PlannedBatch, planBatches } from "./plan.js";
import { localReader, type Reader, readingOrder } from "./readers.js";
import { createSampler, type SamplerState } from "./sampler.js";
import { createSubstitutes, type FoundSample, inFrame, type Skipped } from "./skipped.js";
import { type WorkerSpec, workerPool } from "./worker-pool.js";

/** More threads than any machine has cores are a mistake. */
const MOST_WORKERS = 1024;

/** Everything needed to continue after the last batch that was handed out; plain JSON, the same on every rank. */
export interface LoaderState {
  sampler: SamplerState;
  /** Samples per batch of all ranks together. */
  batchSize: number;
}

/**
 * Which frames a loader visits, in which order, and what becomes of each. The order follows from `seed` and epoch
 * alone, so a resumed run sees what it would have seen, with any number of workers.
 */
export interface LoaderOptions extends SampleOptions {
  /** Samples per batch, on this rank. */
  batchSize: number;
  /** Default: 0. */
  seed?: number;
  /** Default: true. */
  shuffle?: boolean;
  /** Applied to every sample, in this process; may be asynchronous. Draw from `slot` what is drawn at random. */
  transform?: (sample: Sample, slot: BatchSlot) => Sample | Promise<Sample>;
  /** Worker threads that read samples; 0: this process does. Default: 0. */
  numWorkers?: number;
  /** What the workers run. Default: they open the same dataset with the same options. */
  worker?: WorkerSpec;
  /** Batches prepared ahead of the one in use: bounds memory to `(prefetch + 1) · batchSize` samples. Default: 2. */
  prefetch?: number;
  /** Use the frames of these episodes (`episode_index`) only; for datasets. */
  episodes?: readonly number[];
  /** Leave out an epoch's last batch when it is smaller than the others. Default: true. */
  dropLast?: boolean;
  /** Stop after this many epochs. Default: go on without end. */
  epochs?: number;
  /** This process among `worldSize`, each with a loader of the same options: they share every batch. Default: 0. */
  rank?: number;
  /** Default: 1. */
  worldSize?: number;
  /**
   * What becomes of a frame whose image, video or file cannot be read. `skip` puts the next readable one of the epoch's
   * order in its place, so batches stay full and every run sees the same. Default: fatal.
   */
  onCorrupt?: "fatal" | "skip";
  /** Continue from here. */
  state?: LoaderState;
}

/**
 * Batches of `batchSize` samples; the last of an epoch may be smaller without `dropLast`. A sample that
 * cannot be read or transformed throws when its batch is due, not when it is prefetched.
 */
export interface Loader extends AsyncIterable<Sample[]> {
  /** Where to continue after the last batch handed out; prefetched batches do not count. */
  state(): LoaderState;
  /** Batches per epoch, the same on every rank. */
  readonly batchesPerEpoch: number;
  /** What `onCorrupt: "skip"` has left out so far. */
  skipped(): Skipped;
  /** End the workers. The source stays open: it is the caller's. */
  close(): Promise<void>;
}

/**
 * Make a loader. Iterating again continues after the last batch handed out.
 * @throws InsulaError `loader/batch-size` (larger than the dataset, with both numbers), `loader/workers`, `loader/rank`,
 * `loader/episodes` for one that is not there, `sampler/state` for a state of another run. Iterating:
 * `loader/worker` when a worker died, `loader/corrupt` when too many frames in a row cannot be read.
 */
export function createLoader(source: FrameSource, options: LoaderOptions): Loader {
  const { batchSize, seed = 0, shuffle = true, prefetch = 2, dropLast = true, state } = options;
  const { rank = 0, worldSize = 1, epochs = Number.POSITIVE_INFINITY, onCorrupt = "fatal" } = options;
  const { transform = (sample: Sample) => sample } = options;
  const chosen = options.episodes && chooseEpisodes(source, options.episodes);
  const order = shuffle ? source.order?.bind(source) : undefined;
  const length = order ? order(seed, 0).length : (chosen?.length ?? source.totalFrames);
  const together = checkBatch(options, length);
  if (state && state.batchSize !== together) {
    throw new InsulaError(
      "sampler/state",
      `cannot resume: batchSize was ${state.batchSize}, now it is ${together}`,
    );
  }
  const sampling = { length, seed, shuffle };
  let delivered = createSampler({ ...sampling, ...(state && { state: state.sampler }) }).state();
  const reader = openReader(source, options);
  const substitutes = createSubstitutes(source);
  let skipped = 0;

  /** The sample for a slot: frame `at(0)`, or the first after it that can be read. */
  const sampleFor = async (slot: BatchSlot, at: (i: number) => number): Promise<FoundSample> => {
    const read = (index: number): Promise<Sample> => reader.read(index, slot);
    const found =
      onCorrupt === "skip"
        ? await substitutes.find(at, read)
        : { sample: await read(at(0)).catch((error) => inFrame(source, at(0), error)), skipped: false };
    return { ...found, sample: await transform(found.sample, slot) };
  };

  const readBatch = async ({ number, row, from, to, at }: PlannedBatch): Promise<ReadBatch> => {
    const frameAt = (position: number): number => (chosen ? chosen.at(at(position)) : at(position));
    const indices = Array.from({ length: to - from }, (_, i) => frameAt(from + i));
    const found = new Array<Promise<FoundSample>>(indices.length);
    for (const i of readingOrder(source, indices)) {
      found[i] = sampleFor({ batch: number, row: row + i }, (more) => frameAt(from + i + more));
    }
    // All of them: nothing is left behind when the batch fails, and which failure is told is no matter of luck.
    const results = await Promise.allSettled(found);
    const failed = results.find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
    const read = await Promise.all(found);
    return { samples: read.map(({ sample }) => sample), skipped: read.filter((one) => one.skipped).length };
  };

  return {
    batchesPerEpoch: dropLast ? Math.floor(length / together) : Math.ceil(length / together),
    state: () => ({ sampler: delivered, batchSize: together }),
    skipped: () => ({ samples: skipped, frames: substitutes.frames() }),
    close: () => reader.close(),
    async *[Symbol.asyncIterator]() {
      const plan = { start: delivered, batchSize, rank, worldSize, dropLast, epochs };
      const planned = planBatches({ ...plan, ...(order && { order }) });
      const queue: { batch: Promise<ReadBatch>; after: SamplerState }[] = [];
      const fillQueue = (size: number): void => {
        while (queue.length < size) {
          const { value, done } = planned.next();
          if (done) return;
          const batch = readBatch(value);
          batch.catch(() => {}); // Reported when its turn comes.
          queue.push({ batch, after: value.after });
        }
      };
      try {
        for (;;) {
          fillQueue(Math.max(1, prefetch));
          const head = queue.shift();
          if (!head) return;
          const batch = await head.batch;
          fillQueue(prefetch);
          delivered = head.after;
          skipped += batch.skipped;
          yield batch.samples;
        }
      } finally {
        await Promise.allSettled(queue.map(({ batch }) => batch));
      }
    },
  };
}

interface ReadBatch {
  samples: Sample[];
  /** How many are substitutes. */
  skipped: number;
}

/** Check the options that count something; the size of a batch of all ranks. */
function checkBatch({ batchSize, rank = 0, worldSize = 1 }: LoaderOptions, length: number): number {
  if (!(Number.isSafeInteger(worldSize) && Number.isSafeInteger(rank) && rank >= 0 && rank < worldSize)) {
    throw new InsulaError(
      "loader/rank",
      `rank: expected one of [0, worldSize), found rank ${rank} of ${worldSize}`,
    );
  }
  const together = batchSize * worldSize;
  if (!(Number.isSafeInteger(batchSize) && batchSize > 0 && together <= length)) {
    const found = worldSize === 1 ? `${batchSize}` : `${batchSize} on each of ${worldSize} ranks`;
    throw new InsulaError(
      "loader/batch-size",
      `batchSize: expected between 1 and the ${length} frames of the dataset, found ${found}`,
    );
  }
  return together;
}

function openReader(source: FrameSource, options: LoaderOptions): Reader {
  const { numWorkers = 0, worker, actionHorizon, actionKeys, cameras } = options;
  const sampleOptions = {
    ...(actionHorizon !== undefined && { actionHorizon }),
    ...(actionKeys && { actionKeys }),
    ...(cameras && { cameras }),
  };
  if (!(Number.isSafeInteger(numWorkers) && numWorkers >= 0 && numWorkers <= MOST_WORKERS)) {
    throw new InsulaError("loader/workers", `numWorkers: expected 0 to ${MOST_WORKERS}, found ${numWorkers}`);
  }
  if (numWorkers === 0) return localReader(source, sampleOptions);
  return workerPool(source, numWorkers, worker ?? datasetWorker(source, sampleOptions, numWorkers));
}
