/**
 * @file Normalisation statistics of a dataset, from its numeric columns alone: no image is decoded (openpi
 * `scripts/compute_norm_stats.py` decodes them all, hours instead of seconds).
 */
import type { LeRobotDataset } from "@insula/lerobot-dataset";
import type { NdArray } from "@insula/model-types";
import {
  createRunningStats,
  deltaActions,
  getStatistics,
  makeBoolMask,
  type NormStatsMap,
  updateRunningStats,
} from "@insula/transforms";
import type { Robot } from "../configs/types.js";
import { numericFrames } from "./frames.js";
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
  const frames = await numericFrames(dataset, robot, spec);
  const stats = { state: createRunningStats(), actions: createRunningStats() };
  const counted = dataset.episodes.filter((e) => episodes.has(e.index));
  for (const [done, episode] of counted.entries()) {
    for (let frame = episode.from; frame < episode.to; frame++) {
      const state = frames.state(frame);
      const chunk = frames.actions(frame, horizon, episode);
      updateRunningStats(stats.state, state, "state");
      updateRunningStats(stats.actions, toDelta({ state, actions: chunk })["actions"] as NdArray, "actions");
    }
    onProgress?.(done + 1, counted.length);
  }
  return { state: getStatistics(stats.state), actions: getStatistics(stats.actions) };
}
