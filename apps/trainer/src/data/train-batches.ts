/** @file The loader of a run: batches as the training loop takes them, read by this process or by worker threads. */
import type { TrainBatch } from "@insula/ki-model";
import { createLoader, type Loader, type LoaderState } from "@insula/lerobot-dataset";
import { InsulaError, type Sample } from "@insula/model-types";
import { collate, type NormStatsMap } from "@insula/transforms";
import type { RunConfig } from "../configs/types.js";
import type { LoadedBatch, SampleOrigin, TrainBatches } from "../train/parts.js";
import { keepSamples } from "./keep-samples.js";
import { augmentSample } from "./load-sample.js";
import type { LoadWorkerData } from "./load-worker.js";
import type { Member } from "./members.js";
import type { Pipeline } from "./pipeline.js";
import type { RobotSpec } from "./robots.js";
import type { TokenizerPaths } from "./tokenizers.js";
import { trainFrames } from "./train-frames.js";

/** Opened data, and where a worker finds the same. */
export interface BatchSource {
  config: RunConfig;
  members: readonly Member[];
  /** Of each member. */
  pipelines: readonly Pipeline[];
  stats: NormStatsMap;
  strict: boolean;
  tokenizerPaths: TokenizerPaths;
  log(line: string): void;
  /** Kept up to date. */
  counts: BatchCounts;
}

/** Samples of the batches handed out so far. */
export interface BatchCounts {
  /** Their tokens were cut. */
  truncated: number;
  /** They could not be read and were replaced. */
  skipped: number;
}

/** Bytes of decoded frames that all workers keep together. */
const CACHE_BYTES = 2 ** 28;

/** Bytes of model samples kept from epoch to epoch: small images of a small dataset. */
const KEPT_BYTES = 2 ** 29;

/** Skipped frames that are told by name. */
const TOLD = 10;

/** Batches from a loader's saved state, or from the start. */
export async function openBatches(source: BatchSource, state: unknown): Promise<TrainBatches> {
  const { spec } = source.members[0]!;
  const loader = await openLoader(source, state as LoaderState | undefined);
  const iterator = loader[Symbol.asyncIterator]();
  const { counts } = source;
  Object.assign(counts, { truncated: 0, skipped: 0 });
  const told = new Set<number>();
  return {
    async next(): Promise<LoadedBatch> {
      const { value, done } = await iterator.next();
      if (done) throw new InsulaError("data/end", "the loader ended before the run did");
      const samples = value as Sample[];
      counts.truncated += samples.filter((sample) => sample["truncated"] === true).length;
      const skipped = loader.skipped();
      for (const { index, episode, frame, message } of skipped.frames) {
        if (told.has(index) || told.size === TOLD) continue;
        told.add(index);
        source.log(`warning: episode ${episode}, frame ${frame} is replaced by another: ${message}`);
      }
      counts.skipped = skipped.samples;
      return {
        batch: trainBatch(samples, spec),
        after: loader.state(),
        origins: samples.map((sample) => sample["origin"] as unknown as SampleOrigin),
        truncated: counts.truncated,
        skippedSamples: counts.skipped,
      };
    },
    async close() {
      await loader.close();
      await iterator.return?.(undefined);
    },
  };
}

async function openLoader(source: BatchSource, state: LoaderState | undefined): Promise<Loader> {
  const { config, members, pipelines } = source;
  const { numWorkers } = config;
  const frames = await trainFrames(config, members, pipelines);
  // A worker gives its samples away: it has nothing to keep.
  return createLoader(numWorkers > 0 ? frames : keepSamples(frames, KEPT_BYTES), {
    batchSize: config.batchSize,
    seed: config.seed,
    onCorrupt: config.data.onCorrupt,
    numWorkers,
    ...(numWorkers > 0
      ? { worker: { module: new URL("./load-worker.js", import.meta.url), data: () => workerData(source) } }
      : { transform: (sample, slot) => augmentSample(config, sample, slot) }),
    ...(state === undefined ? {} : { state }),
  });
}

async function workerData(source: BatchSource): Promise<LoadWorkerData> {
  const { config, members, stats, strict, tokenizerPaths } = source;
  return {
    columns: await Promise.all(members.map(({ dataset }) => dataset.shareColumns())),
    datasetDirs: members.map(({ dataset }) => dataset.root),
    tokenizers: tokenizerPaths,
    config,
    stats,
    strict,
    cacheBytes: Math.floor(CACHE_BYTES / config.numWorkers),
  };
}

/** Collate transformed samples, with the mask of real actions. */
export function trainBatch(samples: readonly Sample[], spec: RobotSpec): TrainBatch {
  const { observation, actions, actionMask } = collate(samples, { realActionDim: spec.actionDim });
  if (!actions) throw new InsulaError("data/missing-key", "samples have no actions to train on");
  return { observation, actions, ...(actionMask ? { actionMask } : {}) };
}

/** A line for each kind of sample that was not trained on as it is. */
export function countWarnings({ truncated, skipped }: BatchCounts, { model }: RunConfig): string[] {
  const lines: string[] = [];
  if (truncated > 0) {
    lines.push(
      `warning: ${truncated} samples had more tokens than maxTokenLen ${model.maxTokenLen} and were cut`,
    );
  }
  if (skipped > 0) lines.push(`warning: ${skipped} samples could not be read and were replaced by others`);
  return lines;
}
