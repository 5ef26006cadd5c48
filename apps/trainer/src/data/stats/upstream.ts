/**
 * @file openpi's `scripts/compute_norm_stats.py` number for number: every frame counts its whole action chunk, in
 * batches of the training batch size, the last smaller one dropped, through openpi's own running statistics.
 */
import {
  type EpisodeBatch,
  type LeRobotDataset,
  type ScanEngine,
  scanEpisodes,
} from "@insula/lerobot-dataset";
import { InsulaError, type NdArray, type TypedArray } from "@insula/model-types";
import {
  createRunningStats,
  getStatistics,
  type NormStatsMap,
  type UpstreamStats,
  updateRunningStats,
} from "@insula/transforms";
import type { NormStatsOptions } from "../norm-stats.js";
import { frameColumns } from "./frame-columns.js";
import {
  chunkRows,
  deltaTransform,
  type FrameColumns,
  type FrameStats,
  runsOf,
  stateRows,
} from "./frame-stats.js";

export interface UpstreamOptions extends NormStatsOptions {
  /** Frames of a batch: openpi's means and histograms depend on it. */
  batchSize: number;
}

/**
 * Statistics as openpi's script writes them, its flaws included (float32 sums, lost histogram counts).
 * @throws InsulaError `norm-stats/count` when there is not one whole batch.
 */
export async function upstreamNormStats(
  dataset: LeRobotDataset,
  options: UpstreamOptions,
): Promise<NormStatsMap> {
  const { batchSize, episodes } = options;
  const columns = frameColumns(dataset, options);
  const stats: FrameStats<UpstreamStats> = {
    state: createRunningStats({ upstream: true }),
    actions: createRunningStats({ upstream: true }),
  };
  const scan = {
    episodes,
    batchFrames: Math.max(batchSize, 1024),
    ...(options.engine ? { engine: options.engine satisfies ScanEngine } : {}),
  };
  let [state, actions]: (NdArray | undefined)[] = [];
  const names = [...new Set([columns.actions, ...columns.state])];
  for await (const batch of scanEpisodes(dataset, names, scan)) {
    for (const run of runsOf(batch, options.frames, true)) {
      const rows = frameRows(batch, columns, run, options);
      state = join(state, rows.state);
      actions = join(actions, rows.actions);
    }
    if (!state || !actions) continue;
    const whole = Math.floor(state.shape[0]! / batchSize);
    for (let i = 0; i < whole; i++) {
      updateRunningStats(stats.state, part(state, i * batchSize, (i + 1) * batchSize), "state");
      updateRunningStats(stats.actions, part(actions, i * batchSize, (i + 1) * batchSize), "actions");
    }
    state = part(state, whole * batchSize, state.shape[0]!);
    actions = part(actions, whole * batchSize, actions.shape[0]!);
  }
  if (stats.state.count === 0) {
    throw new InsulaError(
      "norm-stats/count",
      `openpi's statistics count whole batches: expected at least ${batchSize} frames, found ${state?.shape[0] ?? 0}`,
    );
  }
  return { state: getStatistics(stats.state), actions: getStatistics(stats.actions) };
}

type Run = ReturnType<typeof runsOf>[number];

function frameRows(
  batch: EpisodeBatch,
  columns: FrameColumns,
  run: Run,
  options: UpstreamOptions,
): { state: NdArray; actions: NdArray } {
  const state = stateRows(batch, columns, run);
  const chunks = chunkRows(batch.columns[columns.actions]!, run, options.actionHorizon);
  const actions = columns.spec.modelActions(chunks);
  return { state, actions: deltaTransform(options)({ state, actions })["actions"] as NdArray };
}

function join(a: NdArray | undefined, b: NdArray): NdArray {
  if (!a || a.shape[0] === 0) return b;
  const data = new (b.data.constructor as new (length: number) => TypedArray)(a.data.length + b.data.length);
  data.set(a.data as never);
  data.set(b.data as never, a.data.length);
  return { data, shape: [a.shape[0]! + b.shape[0]!, ...b.shape.slice(1)] };
}

function part({ data, shape }: NdArray, from: number, to: number): NdArray {
  const size = data.length / shape[0]! || 0;
  return { data: data.subarray(from * size, to * size), shape: [to - from, ...shape.slice(1)] };
}
