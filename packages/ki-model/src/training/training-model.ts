/**
 * @file The training graph: parameters and a batch in, losses and one gradient per trainable parameter out.
 * A parameter that is frozen or to which no loss leads has no gradient output; it is not trained.
 */
import type { ModelConfig } from "@insula/model-types";
import { grad, input, mul, type Value } from "@insula/onnx-grad";
import { createModelContext, type ModelContext, type PrecisionOptions } from "../model/context.js";
import type { ParamSpec } from "../params/spec.js";
import { buildLosses, type Losses, type LossOptions } from "./losses.js";

/** The losses' options and the shapes of the training graph, which are static. */
export interface TrainingModelOptions extends LossOptions, PrecisionOptions {
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

/**
 * Whether the gradients are those of the loss times the input `loss_scale`: small ones would vanish in float16, whose
 * exponent has five bits (arXiv:1710.03740).
 */
export function lossScaling({ computeType }: PrecisionOptions): boolean {
  return computeType === "float16";
}

/**
 * Build forward and backward.
 * @throws InsulaError `model/freeze` for a pattern that is none or matches nothing
 */
export function buildTrainingModel(config: ModelConfig, options: TrainingModelOptions): TrainingModel {
  const context = createModelContext(config, options);
  const losses = buildLosses(context, options);
  const evalOutputs = new Map(Object.entries(losses) as [string, Value][]);
  const wanted = context.specs.filter((s) => !context.frozen(s.path));
  const gradients = grad(
    lossScaling(options)
      ? mul(losses.total, input(context.graph, "loss_scale", "float32", []))
      : losses.total,
    wanted.map((s) => context.param(s.path, s.layer)),
  );
  const trainable = wanted.filter((_, i) => gradients[i]);
  const outputs = new Map(evalOutputs);
  wanted.forEach((spec, i) => {
    const g = gradients[i];
    if (g) outputs.set(`grad/${spec.name}`, g);
  });
  return { context, losses, trainable, outputs, evalOutputs };
}
