/**
 * @file What to do with π0-FAST tokens that are no actions: as openpi's `extract_actions`, zeros, which is the middle
 * of each dim's normalisation (for velocities about standing still). Unlike there, it is told.
 */
import { configModelType, InsulaError, type ModelConfig, type Sample } from "@insula/model-types";
import { named, type Transform } from "@insula/transforms";
import type { Pipeline } from "./pipeline.js";

/** `pipeline.outputs`; for pi0_fast, tokens that do not decode become the middle and `onNotDecoded` is called. */
export function outputsOrMiddle(
  pipeline: Pipeline,
  model: ModelConfig,
  onNotDecoded: (reason: InsulaError) => void,
): Transform {
  if (configModelType(model) !== "pi0_fast") return pipeline.outputs;
  const shape = [model.actionHorizon, model.actionDim];
  const size = model.actionHorizon * model.actionDim;
  return named("outputsOrMiddle", (sample: Sample) => {
    try {
      return pipeline.outputs(sample);
    } catch (error) {
      if (!(error instanceof InsulaError && error.code.startsWith("fast/"))) throw error;
      onNotDecoded(error);
      const actions = { data: new Float32Array(size), shape };
      return pipeline.unnormalized({ ...sample, actions });
    }
  });
}
