/**
 * @file Everything about data that a run needs, opened in the order in which things can go wrong: dataset,
 * checks, split, statistics, tokenizers, pipeline.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { filterSummary, type LeRobotDataset } from "@insula/lerobot-dataset";
import { findDegenerate, type NormStatsMap, serializeNormStats } from "@insula/transforms";
import { readNormStats, writeNormStats } from "@insula/transforms/node";
import type { RunConfig } from "../configs/types.js";
import type { TrainBatches } from "../train.js";
import { assetsFolder } from "./assets-dir.js";
import { closeMembers, type Member, memberStats, openMembers } from "./members.js";
import { makePipeline, type Pipeline } from "./pipeline.js";
import type { RobotSpec } from "./robots.js";
import type { DataSource } from "./source.js";
import type { Split } from "./split.js";
import { loadTokenizers, type Tokenizers, vocabularyRows } from "./tokenizers.js";
import { type BatchCounts, countWarnings, openBatches } from "./train-batches.js";

export { trainSample } from "./load-sample.js";
export { trainBatch } from "./train-batches.js";

export interface TrainData {
  /** The configuration, its vocabulary grown where the tokenizers need more rows. */
  config: RunConfig;
  /** All that is trained on. */
  members: readonly Member[];
  /** Of the first member: what is validated and evaluated on. */
  dataset: LeRobotDataset;
  spec: RobotSpec;
  split: Split;
  stats: NormStatsMap;
  tokenizers: Tokenizers;
  pipeline: Pipeline;
  /** Files for checkpoints: statistics and tokenizers. */
  files: Map<string, Uint8Array | string>;
  /** Batches from a saved loader state, or from the start. */
  openBatches(state: unknown): Promise<TrainBatches>;
  /** What to tell of the samples handed out so far, at the end: how many were cut, how many replaced. */
  warnings(): string[];
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
  const { assetId } = declared.data;
  const given = assetsFolder(declared);
  const tokenizers = await loadTokenizers(source.tokenizers, declared);
  const config = withVocab(declared, tokenizers, log);
  const members = await openMembers(config, source.datasetDirs ?? [source.datasetDir]);
  const { dataset, spec, split } = members[0]!;
  try {
    for (const line of memberLines(config, members, source.notes)) log(line);
    const assets = join(runDir, "assets", assetId);
    const kept = resume && existsSync(join(assets, "norm_stats.json")) ? assets : undefined;
    const from = given ?? kept;
    const { stats, warnings } = from ? await knownStats(from) : await memberStats(config, members);
    const episodes = members.reduce((sum, m) => sum + m.frames.report.episodes.kept, 0);
    log(`norm stats  ${from ?? `computed from the ${episodes} training episodes`}`);
    if (from !== assets) await writeNormStats(assets, stats);
    for (const message of warnings) log(`warning: norm stats: ${message}`);
    const pipelines = members.map((m) =>
      makePipeline({ config, spec: m.spec, stats, tokenizers, tasks: m.dataset.tasks, strict }),
    );
    const pipeline = pipelines[0]!;
    const counts: BatchCounts = { truncated: 0, skipped: 0 };
    const batchSource = {
      counts,
      config,
      members,
      pipelines,
      stats,
      strict,
      log,
      tokenizerPaths: source.tokenizers,
    };
    const files = new Map<string, Uint8Array | string>([
      [`assets/${assetId}/norm_stats.json`, serializeNormStats(stats)],
      ...[...tokenizers.files].map(([path, bytes]) => [`tokenizers/${path}`, bytes] as const),
    ]);
    return {
      config,
      members,
      dataset,
      spec,
      split,
      stats,
      tokenizers,
      pipeline,
      files,
      openBatches: (state) => openBatches(batchSource, state),
      warnings: () => countWarnings(counts, config),
      close: () => closeMembers(members),
    };
  } catch (error) {
    await closeMembers(members);
    throw error;
  }
}

/** What the run trains on: a line for one dataset, one for each member of a mixture, one for each filter. */
function memberLines({ data }: RunConfig, members: readonly Member[], notes: readonly string[]): string[] {
  const describe = ({ dataset, split }: Member): string =>
    `${dataset.totalFrames} frames at ${dataset.fps} fps, ${split.train.length} episodes to train on, ` +
    `${split.heldOut.length} held out`;
  const lines = members.flatMap((member) => {
    const { report } = member.frames;
    const filtered = Object.entries(report.dropped).some(([why, n]) => why !== "episodes" && n > 0);
    const share = (100 * member.weight) / members.reduce((sum, m) => sum + m.weight, 0);
    const named = data.mixture ? `${share.toFixed(1)} % ${member.dataset.root}: ` : "";
    return [
      ...(data.mixture ? [`mixture     ${named}${describe(member)}`] : []),
      ...(filtered ? [`filter      ${filterSummary(report)}`] : []),
    ];
  });
  return data.mixture ? lines : [`data        ${notes.join("; ")}: ${describe(members[0]!)}`, ...lines];
}

async function knownStats(dir: string): Promise<{ stats: NormStatsMap; warnings: string[] }> {
  const stats = await readNormStats(dir);
  return { stats, warnings: findDegenerate(stats).map(({ message }) => message) };
}

function withVocab(config: RunConfig, tokenizers: Tokenizers, log: (line: string) => void): RunConfig {
  const vocabSize = vocabularyRows(tokenizers, config.model);
  if (vocabSize === config.model.vocabSize) return config;
  log(`vocabulary  ${vocabSize} rows instead of ${config.model.vocabSize}, for these tokenizers`);
  return { ...config, model: { ...config.model, vocabSize } };
}
