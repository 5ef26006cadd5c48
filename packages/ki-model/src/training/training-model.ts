/**
 * @file The training graph: parameters and a batch in, losses and one gradient per trainable parameter out.
 * A parameter that is frozen or to which no loss leads has no gradient output; it is not trained.
 *
 * With gradient accumulation the graph is that of one micro-batch. It adds its gradients to those that are there, each
 * where it is complete: the sum lies where the gradient would, and no second set of them is ever held.
 */
import { InsulaError, type ModelConfig } from "@insula/model-types";
import { add, assertInPlace, type Graph, grad, input, mul, type Value } from "@insula/onnx-grad";
import { createModelContext, type ModelContext, type PrecisionOptions } from "../model/context.js";
import type { ParamSpec } from "../params/spec.js";
import { buildLosses, type Losses, type LossOptions, lossWeights } from "./losses.js";

/** The losses' options and the shapes of the training graph, which are static. */
export interface TrainingModelOptions extends LossOptions, PrecisionOptions {
  /** Samples of one step. */
  batchSize: number;
  /**
   * Micro-batches that a step is computed in, a divisor of `batchSize`; default 1. The graph is that of
   * `batchSize / gradientAccumulation` samples, and takes more inputs: `sum/<name>` per gradient, the sum so far, over
   * which `grad/<name>` may be written; and with `maskPadded` `action_share`, the micro-batch's share of the batch's
   * real action entries.
   */
  gradientAccumulation?: number;
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
 * Samples of one micro-batch.
 * @throws InsulaError `model/accumulation` when the batch does not divide into that many equal parts
 */
export function microBatchSize({
  batchSize,
  gradientAccumulation: parts = 1,
}: Pick<TrainingModelOptions, "batchSize" | "gradientAccumulation">): number {
  if (Number.isInteger(parts) && parts >= 1 && batchSize % parts === 0) return batchSize / parts;
  throw new InsulaError(
    "model/accumulation",
    `gradientAccumulation: expected a divisor of batchSize ${batchSize}, found ${parts}`,
  );
}

/**
 * Build forward and backward.
 * @throws InsulaError `model/freeze` for a pattern that is none or matches nothing, or when nothing is left to train,
 *   `model/accumulation` when the batch does not divide into that many equal parts
 */
export function buildTrainingModel(config: ModelConfig, options: TrainingModelOptions): TrainingModel {
  const { gradientAccumulation: parts = 1 } = options;
  const context = createModelContext(config, { ...options, batchSize: microBatchSize(options) });
  const { graph } = context;
  const losses = buildLosses(context, options);
  const evalOutputs = new Map(Object.entries(losses) as [string, Value][]);
  const wanted = context.specs.filter((s) => !context.frozen(s.path));
  const objective = parts === 1 ? losses.total : shareOfTotal(context, losses, parts);
  const sums = parts === 1 ? undefined : runningSums(graph);
  const gradients = grad(
    lossScaling(options) ? mul(objective, input(graph, "loss_scale", "float32", [])) : objective,
    wanted.map((s) => context.param(s.path, s.layer)),
    sums ? { finish: sums.add } : {},
  );
  const trainable = wanted.filter((_, i) => gradients[i]);
  if (trainable.length === 0) {
    throw new InsulaError(
      "model/freeze",
      "freeze: nothing is left to train: no loss reaches what is not frozen",
    );
  }
  const outputs = new Map(evalOutputs);
  wanted.forEach((spec, i) => {
    const g = gradients[i];
    if (g) outputs.set(`grad/${spec.name}`, g);
  });
  if (sums) assertInPlace(graph, outputs, sums.replaced);
  return { context, losses, trainable, outputs, evalOutputs };
}

/** What a micro-batch contributes to the total of its batch. */
function shareOfTotal({ graph, config }: ModelContext, losses: Losses, parts: number): Value {
  const weights = lossWeights(config);
  const terms: Value[] = [];
  if (losses.action_loss) {
    const share = config.maskPadded ? input(graph, "action_share", "float32", []) : 1 / parts;
    terms.push(mul(losses.action_loss, share));
  }
  if (losses.fast_loss) terms.push(mul(losses.fast_loss, weights.fast_loss / parts));
  return terms.reduce((a, b) => add(a, b));
}

/** Gradients added to what the inputs `sum/…` hold. */
function runningSums(graph: Graph): {
  add: (gradient: Value, of: Value) => Value;
  replaced: ReadonlyMap<string, Value>;
} {
  const replaced = new Map<string, Value>();
  return {
    replaced,
    add(gradient, { name }) {
      const sum = input(graph, `sum/${name}`, "float32", gradient.shape);
      replaced.set(`grad/${name}`, sum);
      return add(sum, gradient);
    },
  };
}
