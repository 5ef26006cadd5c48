/** @file Running statistics of states and action chunks, from batches of whole episodes. */
import type { EpisodeBatch } from "@insula/lerobot-dataset";
import { InsulaError, type NdArray, sizeOf } from "@insula/model-types";
import {
  createRunningStats,
  deltaActions,
  type ExactStats,
  makeBoolMask,
  mergeRunningStats,
  type RunningStats,
  type Transform,
  updateRunningStats,
} from "@insula/transforms";
import { type RobotSpec, statesOf } from "../robots.js";

/** Running statistics of what a model normalises. */
export interface FrameStats<T extends RunningStats = ExactStats> {
  state: T;
  actions: T;
}

/** Which rows of an episode count: `[from, to)` in frames of the episode, ascending and apart. */
export type FrameRanges = readonly (readonly [from: number, to: number])[];

/** What is counted of an episode; plain data, so that workers can be told. */
export interface CountOptions {
  actionHorizon: number;
  /** As `DataConfig.deltaActions`. */
  deltaActions: readonly number[] | null;
  /** By `episode_index`; an episode that is not named counts whole. */
  frames?: ReadonlyMap<number, FrameRanges>;
}

/** Where the columns of {@link EpisodeBatch} lie in a robot's dataset. */
export interface FrameColumns {
  spec: RobotSpec;
  /** Dataset column of `spec.actionKey`. */
  actions: string;
  /** Dataset columns of `spec.stateColumns`. */
  state: readonly string[];
}

/** Nothing counted yet. */
export function emptyFrameStats(): FrameStats {
  return { state: createRunningStats(), actions: createRunningStats() };
}

/** Both together. */
export function mergeFrameStats(a: FrameStats, b: FrameStats): FrameStats {
  return {
    state: mergeRunningStats(a.state, b.state),
    actions: mergeRunningStats(a.actions, b.actions),
  };
}

/** Action rows that are expanded to chunks at a time. */
const CHUNK_VALUES = 1 << 16;

/** Count the rows of `batch`, in place. */
export function addFrames(
  stats: FrameStats,
  batch: EpisodeBatch,
  columns: FrameColumns,
  options: CountOptions,
): void {
  const runs = runsOf(batch, options.frames, options.deltaActions !== null);
  if (options.deltaActions === null) {
    for (const run of runs) addRows(stats, batch, columns, run);
    return;
  }
  const { actionHorizon: horizon } = options;
  const differences = { horizon, transform: deltaTransform(options) };
  const step = Math.max(1, Math.floor(CHUNK_VALUES / (horizon * columns.spec.actionDim)));
  for (const run of runs) {
    for (let from = run.from; from < run.to; from += step) {
      addRows(stats, batch, columns, { ...run, from, to: Math.min(from + step, run.to) }, differences);
    }
  }
}

/** `deltaActions` of a configuration as a transform. */
export function deltaTransform({ deltaActions: runs }: Pick<CountOptions, "deltaActions">): Transform {
  return deltaActions(runs ? makeBoolMask(...runs) : undefined);
}

/** Rows `[from, to)` of a batch, in one episode that ends at `end` (or in several, where chunks do not matter). */
interface Run {
  from: number;
  to: number;
  end: number;
}

/** The rows that count. Episodes side by side are one run unless chunks must know where each ends. */
export function runsOf(
  { episodes, rows }: EpisodeBatch,
  frames: ReadonlyMap<number, FrameRanges> | undefined,
  apart: boolean,
): Run[] {
  const runs: Run[] = [];
  for (const [i, { index, length }] of episodes.entries()) {
    const start = rows[i]!;
    for (const [first, last] of frames?.get(index) ?? [[0, length] as const]) {
      const run = { from: start + first, to: start + Math.min(last, length), end: start + length };
      const before = runs.at(-1);
      if (!apart && before?.to === run.from) Object.assign(before, { to: run.to, end: run.end });
      else if (run.to > run.from) runs.push(run);
    }
  }
  return runs;
}

function addRows(
  stats: FrameStats,
  batch: EpisodeBatch,
  columns: FrameColumns,
  run: Run,
  differences?: { horizon: number; transform: Transform },
): void {
  const state = stateRows(batch, columns, run);
  const column = batch.columns[columns.actions]!;
  const actions = columns.spec.modelActions(
    differences ? wideChunks(column, run, differences.horizon) : rowsOf(column, run),
  );
  const counted = (differences?.transform({ state, actions })["actions"] as NdArray) ?? actions;
  try {
    updateRunningStats(stats.state, state, "state");
    updateRunningStats(stats.actions, counted, "actions");
  } catch (error) {
    throw locateNonFinite(batch, run) ?? error;
  }
}

/** States of a run, `[n, stateDim]`. */
export function stateRows(batch: EpisodeBatch, { spec, state }: FrameColumns, run: Run): NdArray {
  return statesOf(
    spec,
    state.map((name) => rowsOf(batch.columns[name]!, run)),
  );
}

/** The chunk of every row of a run in float64, where a difference of two float32 numbers is exact. */
function wideChunks(column: NdArray, run: Run, horizon: number): NdArray {
  const { data, shape } = chunkRows(column, run, horizon);
  return { data: data instanceof Float64Array ? data : Float64Array.from(data, Number), shape };
}

/** The chunk of every row of a run, `[n, horizon, dim]`, in the column's own dtype. */
export function chunkRows(column: NdArray, { from, to, end }: Run, horizon: number): NdArray {
  const dim = sizeOf(column.shape.slice(1));
  const data = new (column.data.constructor as Float32ArrayConstructor)((to - from) * horizon * dim);
  const source = column.data as Float32Array;
  for (let row = from; row < to; row++) {
    const at = (row - from) * horizon * dim;
    const real = Math.min(row + horizon, end);
    data.set(source.subarray(row * dim, real * dim), at);
    for (let t = real - row; t < horizon; t++) {
      data.set(source.subarray((end - 1) * dim, end * dim), at + t * dim);
    }
  }
  return { data, shape: [to - from, horizon, dim] };
}

function rowsOf({ data, shape }: NdArray, { from, to }: Run): NdArray {
  const dims = shape.slice(1);
  const dim = sizeOf(dims);
  return { data: data.subarray(from * dim, to * dim), shape: [to - from, ...dims] };
}

/** The first value of a run that is not finite, by episode and frame. */
function locateNonFinite(batch: EpisodeBatch, { from, end }: Run): InsulaError | undefined {
  for (const [name, { data, shape }] of Object.entries(batch.columns)) {
    const dim = sizeOf(shape.slice(1));
    for (let i = from * dim; i < end * dim; i++) {
      if (Number.isFinite(Number(data[i]))) continue;
      const row = Math.floor(i / dim);
      const at = batch.rows.findLastIndex((first) => first <= row);
      return new InsulaError(
        "dataset/not-finite",
        `${name}: ${data[i]} in episode ${batch.episodes[at]!.index}, frame ${row - batch.rows[at]!}, dim ${i % dim}; repair or leave out the episode`,
      );
    }
  }
  return undefined;
}
