/** @file pi0_fast's tokens as actions; what does not decode is the middle of the normalisation, as upstream acts. */
import { InsulaError, type ModelConfig, type NdArray } from "@insula/model-types";
import type { Pipeline } from "../data/pipeline.js";

/** The robot's actions `[horizon, dim]` for generated token ids, and whether they decoded. */
export function tokenActions(
  ids: Int32Array,
  state: NdArray,
  { pipeline, model }: { pipeline: Pipeline; model: ModelConfig },
): { actions: NdArray; decoded: boolean } {
  const { actionHorizon: h, actionDim: d } = model;
  try {
    const out = pipeline.outputs({ state, actions: { data: ids, shape: [ids.length] } });
    return { actions: out["actions"] as NdArray, decoded: true };
  } catch (error) {
    if (!(error instanceof InsulaError && error.code.startsWith("fast/"))) throw error;
    const zeros = { data: new Float32Array(h * d), shape: [h, d] };
    return {
      actions: pipeline.unnormalized({ state, actions: zeros })["actions"] as NdArray,
      decoded: false,
    };
  }
}
