/**
 * @file Everything about data that a run needs, opened in the order in which things can go wrong: dataset,
 * checks, split, statistics, tokenizers, pipeline.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { TrainBatch } from "@insula/ki-model";
import {
  createLoader,
  type LeRobotDataset,
  type LoaderState,
  openLeRobotDataset,
} from "@insula/lerobot-dataset";
import { InsulaError, type Sample } from "@insula/model-types";
import {
  augmentBatch,
  collate,
  findDegenerate,
  type NormStatsMap,
  serializeNormStats,
} from "@insula/transforms";
import { readNormStats, writeNormStats } from "@insula/transforms/node";
import type { RunConfig } from "../configs/types.js";
import type { TrainBatches } from "../train.js";
import { checkDataset } from "./checks.js";
import { datasetNormStats } from "./norm-stats.js";
import { makePipeline, type Pipeline } from "./pipeline.js";
import { type RobotSpec, robotSpec } from "./robots.js";
import type { DataSource } from "./source.js";
import { type Split, splitEpisodes } from "./split.js";
import { loadTokenizers, type Tokenizers, vocabularyRows } from "./tokenizers.js";

export interface TrainData {
  /** The configuration, its vocabulary grown where the tokenizers need more rows. */
  config: RunConfig;
  dataset: LeRobotDataset;
  spec: RobotSpec;
  split: Split;
  stats: NormStatsMap;
  tokenizers: Tokenizers;
  pipeline: Pipeline;
  /** Files for checkpoints: statistics and tokenizers. */
  files: Map<string, Uint8Array | string>;
  openBatches(state: unknown, step: number): Promise<TrainBatches>;
  close(): Promise<void>;
}

export interface OpenTrainDataOptions {
  source: DataSource;
  /** The run's folder: statistics are kept in its `assets/<assetId>`. */
  runDir: string;
  /** Use the statistics that the run's folder already has. */
  resume?: boolean;
  strict?: boolean;
  log(line: string): void;
}

/** Open the data of a run. @throws InsulaError naming what is wrong with dataset, statistics or tokenizers. */
export async function openTrainData(declared: RunConfig, options: OpenTrainDataOptions): Promise<TrainData> {
  const { source, runDir, resume = false, strict = false, log } = options;
  const { robot, heldOut, assetId, assetsDir } = declared.data;
  const spec = robotSpec(robot);
  const tokenizers = await loadTokenizers(source.tokenizers, declared.model);
  const config = withVocab(declared, tokenizers, log);
  const dataset = await openLeRobotDataset(source.datasetDir, { cameras: [...spec.cameraColumns] });
  try {
    await checkDataset(dataset, robot, spec);
    const split = splitEpisodes(dataset.episodes, heldOut);
    log(
      `data        ${source.notes.join("; ")}: ${dataset.totalFrames} frames at ${dataset.fps} fps, ` +
        `${split.train.length} episodes to train on, ${split.heldOut.length} held out`,
    );
    const assets = join(runDir, "assets", assetId);
    const from = assetsDir
      ? join(assetsDir, assetId)
      : resume && existsSync(join(assets, "norm_stats.json"))
        ? assets
        : undefined;
    const stats = from
      ? await readNormStats(from)
      : await datasetNormStats(dataset, {
          robot,
          spec,
          actionHorizon: config.model.actionHorizon,
          deltaActions: config.data.deltaActions,
          episodes: new Set(split.train),
        });
    log(`norm stats  ${from ?? `computed from the ${split.train.length} training episodes`}`);
    if (from !== assets) await writeNormStats(assets, stats);
    for (const { message } of findDegenerate(stats)) log(`warning: norm stats: ${message}`);
    const pipeline = makePipeline({ config, spec, stats, tokenizers, tasks: dataset.tasks, strict });
    const files = new Map<string, Uint8Array | string>([
      [`assets/${assetId}/norm_stats.json`, serializeNormStats(stats)],
      ...[...tokenizers.files].map(([path, bytes]) => [`tokenizers/${path}`, bytes] as const),
    ]);
    return {
      config,
      dataset,
      spec,
      split,
      stats,
      tokenizers,
      pipeline,
      files,
      openBatches: async (state, step) => openBatches(config, dataset, spec, split, pipeline, state, step),
      close: () => dataset.close(),
    };
  } catch (error) {
    await dataset.close();
    throw error;
  }
}

function withVocab(config: RunConfig, tokenizers: Tokenizers, log: (line: string) => void): RunConfig {
  const vocabSize = vocabularyRows(tokenizers, config.model);
  if (vocabSize === config.model.vocabSize) return config;
  log(`vocabulary  ${vocabSize} rows instead of ${config.model.vocabSize}, for these tokenizers`);
  return { ...config, model: { ...config.model, vocabSize } };
}

function openBatches(
  config: RunConfig,
  dataset: LeRobotDataset,
  spec: RobotSpec,
  split: Split,
  pipeline: Pipeline,
  state: unknown,
  firstStep: number,
): TrainBatches {
  const loader = createLoader(dataset, {
    batchSize: config.batchSize,
    seed: config.seed,
    episodes: split.train,
    actionHorizon: config.model.actionHorizon,
    actionKeys: [spec.actionKey],
    transform: (sample) => trainSample(pipeline, sample),
    ...(state === undefined ? {} : { state: state as LoaderState }),
  });
  const iterator = loader[Symbol.asyncIterator]();
  const { augment } = config.data;
  let step = firstStep;
  return {
    async next() {
      const { value, done } = await iterator.next();
      if (done) throw new InsulaError("data/end", "the loader ended before the run did");
      const samples = value as Sample[];
      const seen =
        augment === "none" ? samples : augmentBatch(samples, { seed: config.seed, step, variant: augment });
      step++;
      return { batch: trainBatch(seen, spec), after: loader.state() };
    },
    close: async () => void (await iterator.return?.(undefined)),
  };
}

/** Collate transformed samples, with the mask of real actions. */
export function trainBatch(samples: readonly Sample[], spec: RobotSpec): TrainBatch {
  const { observation, actions, actionMask } = collate(samples, { realActionDim: spec.actionDim });
  if (!actions) throw new InsulaError("data/missing-key", "samples have no actions to train on");
  return { observation, actions, ...(actionMask ? { actionMask } : {}) };
}

/** A dataset sample as the model trains on it; what goes wrong names its episode and frame. */
export function trainSample(pipeline: Pipeline, sample: Sample): Sample {
  try {
    return pipeline.inputs(pipeline.repack(sample));
  } catch (error) {
    if (!(error instanceof InsulaError)) throw error;
    const where = `episode ${sample["episode_index"]}, frame ${sample["frame_index"]}`;
    throw new InsulaError(error.code, `${where}: ${error.message}`, { cause: error });
  }
}
