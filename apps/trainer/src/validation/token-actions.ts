/** @file pi0_fast's tokens as actions; what does not decode is the middle of the normalisation, as upstream acts. */
import type { ModelConfig, NdArray } from "@insula/model-types";
import { outputsOrMiddle } from "../data/fast-outputs.js";
import type { Pipeline } from "../data/pipeline.js";

/** The robot's actions `[horizon, dim]` for generated token ids, and whether they decoded. */
export function tokenActions(
  ids: Int32Array,
  state: NdArray,
  { pipeline, model }: { pipeline: Pipeline; model: ModelConfig },
): { actions: NdArray; decoded: boolean } {
  let decoded = true;
  const outputs = outputsOrMiddle(pipeline, model, () => {
    decoded = false;
  });
  const { actions } = outputs({ state, actions: { data: ids, shape: [ids.length] } });
  return { actions: actions as NdArray, decoded };
}
