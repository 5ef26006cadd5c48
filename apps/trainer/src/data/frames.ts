/** @file States and action chunks of a dataset from its numeric columns: no image is read. */
import type { Episode, LeRobotDataset } from "@insula/lerobot-dataset";
import type { NdArray, Sample } from "@insula/model-types";
import type { Robot } from "../configs/types.js";
import { columnName } from "./checks.js";
import type { RobotSpec } from "./robots.js";

export interface NumericFrames {
  /** `[stateDim]`, as the robot's `inputs` give it. */
  state(frame: number): NdArray;
  /** `[horizon, actionDim]` from `frame` on, likewise; beyond the episode's end its last row repeats. */
  actions(frame: number, horizon: number, episode: Episode): NdArray;
}

/** Load the columns that `spec` needs besides images. */
export async function numericFrames(
  dataset: LeRobotDataset,
  robot: Robot,
  spec: RobotSpec,
): Promise<NumericFrames> {
  const actions = await dataset.column(columnName(dataset, robot, spec.actionKey));
  const columns = new Map<string, NdArray>();
  for (const key of spec.stateColumns)
    columns.set(key, await dataset.column(columnName(dataset, robot, key)));
  return {
    state: (frame) => spec.state(stateSample(columns, frame, spec)),
    actions: (frame, horizon, episode) => spec.modelActions(chunkAt(actions, frame, horizon, episode)),
  };
}

/** The state columns of one frame under the keys of a repacked sample. */
function stateSample(columns: ReadonlyMap<string, NdArray>, frame: number, spec: RobotSpec): Sample {
  return Object.fromEntries([...columns].map(([key, column]) => [spec.stateKey(key), row(column, frame)]));
}

/** `[horizon, dim]` from `frame` on, the episode's last row repeated beyond its end. */
function chunkAt(column: NdArray, frame: number, horizon: number, { to }: Episode): NdArray {
  const dim = width(column);
  const real = column.data.subarray(frame * dim, Math.min(frame + horizon, to) * dim);
  const data = new Float64Array(horizon * dim);
  for (let i = 0; i < real.length; i++) data[i] = Number(real[i]);
  for (let i = real.length; i < data.length; i++) data[i] = data[i - dim]!;
  return { data, shape: [horizon, dim] };
}

/** One row without its frame axis. */
function row(column: NdArray, frame: number): NdArray {
  const size = width(column);
  return { data: column.data.subarray(frame * size, (frame + 1) * size), shape: column.shape.slice(1) };
}

const width = ({ shape }: NdArray): number => shape.slice(1).reduce((a, b) => a * b, 1);
