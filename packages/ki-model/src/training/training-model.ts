/**
 * @file The training graph: parameters and a batch in, losses and one gradient per trainable parameter out.
 * A parameter to which no loss leads has no gradient output; it is not trained.
 */
import type { ModelConfig } from "@insula/model-types";
import { grad, type Value } from "@insula/onnx-grad";
import { createModelContext, type ModelContext } from "../model/context.js";
import type { ParamSpec } from "../params/spec.js";
import { buildLosses, type Losses, type LossOptions } from "./losses.js";

/** The losses' options and the shapes of the training graph, which are static. */
export interface TrainingModelOptions extends LossOptions {
  batchSize: number;
  /** Cameras in the graph; default all. Leaving out one that is never there changes no loss and no gradient. */
  imageKeys?: readonly string[];
}

/** Forward and backward in one graph, and which of its values to serialise for training and for evaluation. */
export interface TrainingModel {
  context: ModelContext;
  losses: Losses;
  /** Parameters with a gradient. */
  trainable: readonly ParamSpec[];
  /** `total`, the losses and metrics, and `grad/<name>` per trainable parameter. */
  outputs: Map<string, Value>;
  /** Losses and metrics alone. */
  evalOutputs: Map<string, Value>;
}

/** Build forward and backward. */
export function buildTrainingModel(config: ModelConfig, options: TrainingModelOptions): TrainingModel {
  const context = createModelContext(config, options);
  const losses = buildLosses(context, options);
  const evalOutputs = new Map(Object.entries(losses) as [string, Value][]);
  const gradients = grad(
    losses.total,
    context.specs.map((s) => context.param(s.path, s.layer)),
  );
  const trainable = context.specs.filter((_, i) => gradients[i]);
  const outputs = new Map(evalOutputs);
  context.specs.forEach((spec, i) => {
    const g = gradients[i];
    if (g) outputs.set(`grad/${spec.name}`, g);
  });
  return { context, losses, trainable, outputs, evalOutputs };
}
