/**
 * @file openpi's own statistics of a DROID dataset, recomputed from the dataset in `--tokenizers` (`lerobot/`).
 * index.json says which rows each file counted, in which batches.
 */
import { join } from "node:path";
import { type LeRobotDataset, openLeRobotDataset } from "@insula/lerobot-dataset";
import type { NdArray } from "@insula/model-types";
import { createRunningStats, getStatistics, type NormStats, updateRunningStats } from "@insula/transforms";
import { EXACT, FLOAT32 } from "../tolerance.js";
import { missingInput, type Unit } from "../unit.js";
import type { Family } from "./family.js";

const INDEX = "index.json";
const DATASET = join("lerobot", "droid_subset_v30");

interface Variant {
  fps: number;
  horizon: number | null;
  rows: number;
  batches: readonly (readonly [number, number])[];
}

export const normStatsDroidFamily: Family = {
  name: "norm_stats_droid",
  claim: (dir, files) => (/(^|\/)norm_stats_droid(\/|$)/.test(dir) ? [files] : []),
  async verify(unit) {
    if (!unit.has(INDEX)) throw missingInput(`${INDEX}; only numpy 1.26's statistics are reproduced`);
    const { variants = {} } = unit.json(INDEX) as { variants?: Record<string, Variant> };
    unit.used(INDEX, "openpi_commit", "episodes", "input_dtype", "numpy", "variants");
    const dir = join(unit.tokenizers, DATASET);
    const dataset = await openLeRobotDataset(dir).catch(() => {
      throw missingInput(`the dataset ${dir}`);
    });
    try {
      const columns = await readColumns(dataset);
      for (const [name, variant] of Object.entries(variants))
        await putVariant(unit, dataset, columns, name, variant);
    } finally {
      await dataset.close();
    }
  },
};

interface Columns {
  state: NdArray<Float32Array>;
  actions: NdArray<Float32Array>;
}

/** State (joints, gripper) and actions of all frames, `[frames, 8]`. */
async function readColumns(dataset: LeRobotDataset): Promise<Columns> {
  const [joints, gripper, actions] = await Promise.all(
    ["joint_position", "gripper_position", "actions"].map((name) => dataset.column(name)),
  );
  const n = dataset.totalFrames;
  const dim = joints!.data.length / n + 1;
  const state = new Float32Array(n * dim);
  for (let i = 0; i < n; i++) {
    for (let d = 0; d < dim - 1; d++) state[i * dim + d] = Number(joints!.data[i * (dim - 1) + d]);
    state[i * dim + dim - 1] = Number(gripper!.data[i]);
  }
  return { state: { data: state, shape: [n, dim] }, actions: actions as NdArray<Float32Array> };
}

async function putVariant(
  unit: Unit,
  dataset: LeRobotDataset,
  { state, actions }: Columns,
  name: string,
  { fps, horizon, rows, batches }: Variant,
): Promise<void> {
  const file = `${name}.json`;
  if (!unit.has(file)) return;
  if (fps !== dataset.fps) {
    unit.skip(file, undefined, `of ${fps} fps rows; the dataset has ${dataset.fps} fps`);
    return;
  }
  unit.putValue(INDEX, ["variants", name, "rows"], dataset.totalFrames, EXACT);
  const counted = horizon === null ? actions : chunks(dataset, actions, horizon);
  for (const [key, column] of Object.entries({ state, actions: counted })) {
    const stats = createRunningStats({ upstream: true });
    for (const [from, to] of batches) updateRunningStats(stats, slice(column, from, Math.min(to, rows)), key);
    putStats(unit, file, key, getStatistics(stats));
  }
}

function putStats(unit: Unit, file: string, key: string, stats: NormStats): void {
  for (const field of ["mean", "std", "q01", "q99"] as const) {
    unit.putValue(file, ["norm_stats", key, field], [...stats[field]!], FLOAT32);
  }
}

/** Every frame's chunk, the episode's last action repeated beyond its end: `[frames, horizon, dim]`. */
function chunks(
  { episodes }: LeRobotDataset,
  { data, shape }: NdArray<Float32Array>,
  horizon: number,
): NdArray {
  const [n, dim] = shape as [number, number];
  const out = new Float32Array(n * horizon * dim);
  for (const { from, to } of episodes) {
    for (let i = from; i < to; i++) {
      for (let t = 0; t < horizon; t++) {
        const row = Math.min(i + t, to - 1);
        out.set(data.subarray(row * dim, (row + 1) * dim), (i * horizon + t) * dim);
      }
    }
  }
  return { data: out, shape: [n, horizon, dim] };
}

function slice({ data, shape }: NdArray, from: number, to: number): NdArray {
  const size = data.length / shape[0]!;
  return { data: data.subarray(from * size, to * size), shape: [to - from, ...shape.slice(1)] };
}
