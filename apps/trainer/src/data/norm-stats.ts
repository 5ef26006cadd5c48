/**
 * @file Normalisation statistics of a dataset, from its numeric columns alone: no image is decoded (openpi
 * `scripts/compute_norm_stats.py` decodes them all, hours instead of seconds).
 */
import type { Episode, LeRobotDataset } from "@insula/lerobot-dataset";
import type { NdArray, Sample, TypedArray } from "@insula/model-types";
import {
  createRunningStats,
  deltaActions,
  getStatistics,
  makeBoolMask,
  type NormStatsMap,
  updateRunningStats,
} from "@insula/transforms";
import type { Robot } from "../configs/types.js";
import { columnName } from "./checks.js";
import type { RobotSpec } from "./robots.js";

export interface NormStatsOptions {
  robot: Robot;
  spec: RobotSpec;
  actionHorizon: number;
  /** As `DataConfig.deltaActions`. */
  deltaActions: readonly number[] | null;
  /** Episode indices to count. */
  episodes: ReadonlySet<number>;
  /** Count rows as openpi does: every frame contributes its whole chunk, repeats beyond the episode's end included. */
  upstream?: boolean;
  /** Called after each episode. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * Statistics of `state` and `actions`, every row counted once; `upstream` counts as openpi does.
 * Differences to the state exist only within a chunk, so with `deltaActions` the two are the same. Exact mean and deviation,
 * histogram quantiles.
 */
export async function datasetNormStats(
  dataset: LeRobotDataset,
  options: NormStatsOptions,
): Promise<NormStatsMap> {
  const { robot, spec, episodes, onProgress } = options;
  const horizon = options.deltaActions || options.upstream ? options.actionHorizon : 1;
  const toDelta = deltaActions(options.deltaActions ? makeBoolMask(...options.deltaActions) : undefined);
  const actions = await dataset.column(columnName(dataset, robot, spec.actionKey));
  const columns = new Map<string, NdArray>();
  for (const key of spec.stateColumns)
    columns.set(key, await dataset.column(columnName(dataset, robot, key)));
  const stats = { state: createRunningStats(), actions: createRunningStats() };
  const counted = dataset.episodes.filter((e) => episodes.has(e.index));
  for (const [done, episode] of counted.entries()) {
    for (let frame = episode.from; frame < episode.to; frame++) {
      const state = spec.state(stateSample(columns, frame));
      const chunk = chunkAt(actions, frame, horizon, episode);
      updateRunningStats(stats.state, state, "state");
      updateRunningStats(stats.actions, toDelta({ state, actions: chunk })["actions"] as NdArray, "actions");
    }
    onProgress?.(done + 1, counted.length);
  }
  return { state: getStatistics(stats.state), actions: getStatistics(stats.actions) };
}

/** The state columns of one frame under the keys of a repacked sample. */
function stateSample(columns: ReadonlyMap<string, NdArray>, frame: number): Sample {
  return Object.fromEntries(
    [...columns].map(([key, column]) => [`observation/${key}`, rows(column, frame, frame + 1)]),
  );
}

/** `[horizon, dim]` from `frame` on, the episode's last row repeated beyond its end. */
function chunkAt(column: NdArray, frame: number, horizon: number, { to }: Episode): NdArray {
  const real = column.data.subarray(frame * width(column), Math.min(frame + horizon, to) * width(column));
  const data = new Float64Array(horizon * width(column));
  for (let i = 0; i < real.length; i++) data[i] = Number(real[i]);
  for (let i = real.length; i < data.length; i++) data[i] = data[i - width(column)]!;
  return { data, shape: [horizon, width(column)] };
}

/** One row without its frame axis. */
function rows(column: NdArray, from: number, to: number): NdArray {
  const data = column.data.subarray(from * width(column), to * width(column)) as TypedArray;
  return { data, shape: column.shape.slice(1) };
}

const width = ({ shape }: NdArray): number => shape.slice(1).reduce((a, b) => a * b, 1);
