/** @file The yardstick: always answering with the mean action of the training data. */
import type { NdArray } from "@insula/model-types";
import { type NormStatsMap, normalize } from "@insula/transforms";
import type { RunConfig } from "../configs/types.js";
import type { Pipeline } from "../data/pipeline.js";
import type { RobotSpec } from "../data/robots.js";

/**
 * From the model's state `[dim]` to the mean action in every step of a chunk `[horizon, dim]`, in the robot's units. It
 * takes the way that a model's answer takes: relative actions are added to the state.
 */
export function meanAction({
  config,
  stats,
  spec,
  pipeline,
}: {
  config: RunConfig;
  stats: NormStatsMap;
  spec: RobotSpec;
  pipeline: Pipeline;
}): (state: NdArray) => NdArray {
  const { actionHorizon: h, actionDim: d } = config.model;
  const mean = { data: stats["actions"]!.mean.slice(0, spec.actionDim), shape: [spec.actionDim] };
  const { data: row } = normalize(
    { actions: stats["actions"]! },
    { useQuantiles: config.data.useQuantileNorm },
  )({ actions: mean })["actions"] as NdArray<Float64Array>;
  const data = new Float64Array(h * d);
  for (let t = 0; t < h; t++) data.set(row, t * d);
  return (state) =>
    pipeline.unnormalized({ state, actions: { data: data.slice(), shape: [h, d] } })["actions"] as NdArray;
}
