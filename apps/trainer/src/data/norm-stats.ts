/**
 * @file Normalisation statistics of a dataset, from its numeric columns alone: no image is decoded (openpi
 * `scripts/compute_norm_stats.py` decodes them all, hours instead of seconds), and no column is held whole.
 */
import { availableParallelism } from "node:os";
import { type LeRobotDataset, type ScanEngine, scanEngine } from "@insula/lerobot-dataset";
import {
  findDegenerate,
  findHeavyTails,
  getStatistics,
  type NormMethod,
  type NormStatsMap,
  scaleRunningStats,
} from "@insula/transforms";
import type { Robot } from "../configs/types.js";
import type { RobotSpec } from "./robots.js";
import { countParts, partsOf } from "./stats/count-parts.js";
import { countInThreads } from "./stats/count-threads.js";
import type { CountJob } from "./stats/count-worker.js";
import { frameColumns } from "./stats/frame-columns.js";
import { type CountOptions, emptyFrameStats, type FrameStats, mergeFrameStats } from "./stats/frame-stats.js";

export interface NormStatsOptions extends CountOptions {
  robot: Robot;
  spec: RobotSpec;
  /** Episode indices to count. */
  episodes: ReadonlySet<number>;
  /** What reads the data files. Default: DuckDB for large sets where it is installed, else hyparquet. */
  engine?: ScanEngine;
  /**
   * Threads that count, each with a dataset of its own. Default: for hyparquet one per core, four at most, where there
   * is more than one part; DuckDB has threads itself.
   */
  threads?: number;
  /** Frames of a batch; mean and deviation depend on it in their last digits. Default: 16 384. */
  batchFrames?: number;
  /** Called after each part, with the frames counted so far. */
  onProgress?: (frames: number, total: number) => void;
}

/**
 * Statistics of `state` and `actions`, every row counted once. Differences to the state exist only within a chunk, so
 * with `deltaActions` every frame counts its whole chunk, repeats beyond the episode's end included. Exact mean and
 * deviation; quantiles to 1/8192 of the range. The same to the bit with either engine
 * and any number of threads.
 */
export async function datasetNormStats(
  dataset: LeRobotDataset,
  options: NormStatsOptions,
): Promise<NormStatsMap> {
  return normStatsOf(await datasetFrameStats(dataset, options));
}

/** What {@link datasetNormStats} counts, before it becomes statistics: mergeable. */
export async function datasetFrameStats(
  dataset: LeRobotDataset,
  options: NormStatsOptions,
): Promise<FrameStats> {
  const parts = partsOf(dataset, options.episodes, options.batchFrames);
  const engine = options.engine ?? (await scanEngine(dataset));
  const threads = isView(dataset) ? 1 : (options.threads ?? defaultThreads(engine, parts.length));
  const counted =
    threads > 1
      ? countInThreads(
          parts.map((part) => part.map((e) => e.index)),
          countJob(dataset, options, engine),
          threads,
        )
      : countParts(dataset, parts, frameColumns(dataset, options), { ...options, engine });
  let stats = emptyFrameStats();
  for await (const part of counted) {
    stats = mergeFrameStats(stats, part);
    options.onProgress?.(stats.state.count, dataset.totalFrames);
  }
  return stats;
}

/** A resampled dataset cannot be opened again from its folder. */
const isView = (dataset: LeRobotDataset): boolean => "base" in dataset;

const defaultThreads = (engine: ScanEngine, parts: number): number =>
  engine === "duckdb" ? 1 : Math.min(4, availableParallelism(), parts);

function countJob(dataset: LeRobotDataset, options: NormStatsOptions, engine: ScanEngine): CountJob {
  const { robot, actionHorizon, deltaActions, frames, batchFrames } = options;
  return {
    root: dataset.root,
    followLinks: dataset.options.followLinks ?? false,
    robot,
    engine,
    actionHorizon,
    deltaActions,
    ...(frames && { frames }),
    ...(batchFrames !== undefined && { batchFrames }),
  };
}

/** @throws InsulaError `norm-stats/count` for fewer than two rows. */
export function normStatsOf(stats: FrameStats): NormStatsMap {
  return { state: getStatistics(stats.state), actions: getStatistics(stats.actions) };
}

/**
 * The statistics of a mixture: each dataset counts by its share of the mixture (`weights`, relative), however many
 * frames it has.
 */
export function mixFrameStats(stats: readonly FrameStats[], weights: readonly number[]): FrameStats {
  const total = weights.reduce((a, b) => a + b, 0);
  const frames = stats.reduce((sum, s) => sum + s.state.count, 0);
  return stats
    .map((s, i): FrameStats => {
      const factor = ((weights[i]! / total) * frames) / s.state.count;
      return { state: scaleRunningStats(s.state, factor), actions: scaleRunningStats(s.actions, factor) };
    })
    .reduce(mergeFrameStats);
}

/** Dimensions that normalisation would blow up and dimensions with wild values, a line each, by name. */
export function normStatsWarnings(
  stats: FrameStats,
  spec: Pick<RobotSpec, "actionNames">,
  method?: NormMethod,
): string[] {
  const named = { names: { actions: spec.actionNames } };
  const map = {
    state: getStatistics(stats.state, { minMax: true }),
    actions: getStatistics(stats.actions, { minMax: true }),
  };
  return [
    ...findDegenerate(normStatsOf(stats), { ...named, ...(method && { method }) }),
    ...findHeavyTails(map, named),
  ].map(({ message }) => message);
}
