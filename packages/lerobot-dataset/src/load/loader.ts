/**
 * @file Batches of samples for training: shuffled, transformed, the next few prepared in the background while
 * the current one is used. In-process; decoding runs on libuv threads.
 */
import { InsulaError, type Sample } from "@insula/model-types";
import type { LeRobotDataset } from "../read/dataset.js";
import type { SampleOptions } from "../read/sample.js";
import { createSampler, type SamplerState } from "./sampler.js";

/** Everything needed to continue after the last batch that was handed out; plain JSON. */
export interface LoaderState {
  sampler: SamplerState;
  batchSize: number;
}

/**
 * Which frames a loader visits, in which order, and what becomes of each. The order follows from `seed` and
 * epoch alone, so a resumed run sees what it would have seen.
 */
export interface LoaderOptions extends SampleOptions {
  batchSize: number;
  /** Default: 0. */
  seed?: number;
  /** Default: true. */
  shuffle?: boolean;
  /** Applied to every sample; may be asynchronous. */
  transform?: (sample: Sample) => Sample | Promise<Sample>;
  /** Only 0: batches are prepared in this process. */
  numWorkers?: 0;
  /** Batches prepared ahead of the one in use: bounds memory to `(prefetch + 1) · batchSize` samples. Default: 2. */
  prefetch?: number;
  /** Use the frames of these episodes (`episode_index`) only. */
  episodes?: readonly number[];
  /** Leave out an epoch's last batch when it is smaller than batchSize. Default: true. */
  dropLast?: boolean;
  /** Stop after this many epochs. Default: go on without end. */
  epochs?: number;
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
  /** Batches per epoch. */
  readonly batchesPerEpoch: number;
}

/**
 * Make a loader. Iterating again continues after the last batch handed out.
 * @throws InsulaError `loader/batch-size` (larger than the dataset, with both numbers), `loader/workers`,
 * `loader/episodes` for one that is not there, `sampler/state` for a state of another run.
 */
export function createLoader(dataset: LeRobotDataset, options: LoaderOptions): Loader {
  const {
    batchSize,
    seed = 0,
    shuffle = true,
    prefetch = 2,
    dropLast = true,
    epochs,
    episodes,
    state,
  } = options;
  const { actionHorizon, actionKeys, cameras, transform = (sample: Sample) => sample } = options;
  if ((options.numWorkers ?? 0) !== 0) {
    throw new InsulaError("loader/workers", `numWorkers: expected 0, found ${options.numWorkers}`);
  }
  const frames = frameLookup(dataset, episodes);
  if (!(Number.isSafeInteger(batchSize) && batchSize > 0 && batchSize <= frames.length)) {
    throw new InsulaError(
      "loader/batch-size",
      `batchSize: expected between 1 and the ${frames.length} frames of the dataset, found ${batchSize}`,
    );
  }
  if (state && state.batchSize !== batchSize) {
    throw new InsulaError(
      "sampler/state",
      `cannot resume: batchSize was ${state.batchSize}, now it is ${batchSize}`,
    );
  }
  const sampling = { length: frames.length, seed, shuffle };
  let delivered = createSampler({ ...sampling, ...(state && { state: state.sampler }) }).state();

  const load = async (frame: number): Promise<Sample> =>
    transform(
      await dataset.sample(frame, {
        ...(actionHorizon !== undefined && { actionHorizon }),
        ...(actionKeys && { actionKeys }),
        ...(cameras && { cameras }),
      }),
    );

  /** Frames of the batches from `delivered` on, each with the state after it. */
  function* plan(): Generator<{ batch: number[]; after: SamplerState }> {
    const sampler = createSampler({ ...sampling, state: delivered });
    for (;;) {
      const { position, length } = sampler.state();
      let left = length - position;
      if (left === 0 || (dropLast && left < batchSize)) {
        sampler.nextEpoch();
        left = length;
      }
      if (epochs !== undefined && sampler.state().epoch >= epochs) return;
      const batch = Array.from({ length: Math.min(batchSize, left) }, () => frames.at(sampler.next()));
      yield { batch, after: sampler.state() };
    }
  }

  return {
    batchesPerEpoch: dropLast ? Math.floor(frames.length / batchSize) : Math.ceil(frames.length / batchSize),
    state: () => ({ sampler: delivered, batchSize }),
    async *[Symbol.asyncIterator]() {
      const planned = plan();
      const queue: { samples: Promise<Sample[]>; after: SamplerState }[] = [];
      const fillQueue = (size: number): void => {
        while (queue.length < size) {
          const { value, done } = planned.next();
          if (done) return;
          const samples = Promise.all(value.batch.map(load));
          samples.catch(() => {}); // Reported when its turn comes.
          queue.push({ samples, after: value.after });
        }
      };
      try {
        for (;;) {
          fillQueue(Math.max(1, prefetch));
          const head = queue.shift();
          if (!head) return;
          const batch = await head.samples;
          fillQueue(prefetch);
          delivered = head.after;
          yield batch;
        }
      } finally {
        await Promise.allSettled(queue.map(({ samples }) => samples));
      }
    },
  };
}

/** The frames of the chosen episodes as one range. */
function frameLookup(
  dataset: LeRobotDataset,
  episodes: readonly number[] | undefined,
): { length: number; at(i: number): number } {
  if (!episodes) return { length: dataset.totalFrames, at: (i) => i };
  const byIndex = new Map(dataset.episodes.map((e) => [e.index, e]));
  const length = [...new Set(episodes)].reduce((sum, index) => {
    const episode = byIndex.get(index);
    if (episode) return sum + episode.length;
    throw new InsulaError(
      "loader/episodes",
      `episodes: ${index} is not one of the ${dataset.episodes.length} episodes of the dataset`,
    );
  }, 0);
  const frames = new Uint32Array(length);
  let at = 0;
  for (const index of new Set(episodes)) {
    const { from, to } = byIndex.get(index)!;
    for (let frame = from; frame < to; frame++) frames[at++] = frame;
  }
  return { length, at: (i) => frames[i]! };
}
