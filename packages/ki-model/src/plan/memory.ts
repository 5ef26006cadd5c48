/**
 * @file What a training set-up needs, before anything is computed: the graphs that would run are built and their cost
 * is read off them (`cost` of onnx-grad), so the plan follows every option that changes a graph: cameras, text
 * buckets, rows of the loss, rematerialisation, element types, what is trained.
 *
 * Measured against ONNX Runtime's CPU arena (`MaxInUse`), the activations of tiny and small are right to 2 %.
 */
import type { ModelConfig } from "@insula/model-types";
import { byteSize, type Cost, cost, type Graph, type Value } from "@insula/onnx-grad";
import type { ArtifactOptions } from "../artifact.js";
import { countParams, type ParamGroup, type ParamSpec } from "../params/spec.js";
import { buildOptimizer, DEFAULT_OPTIMIZER } from "../training/optimizer-model.js";
import { buildTrainingModel, type TrainingModel } from "../training/training-model.js";

/** Bytes by what they are for. */
export interface PlanBytes {
  parameters: number;
  gradients: number;
  /** First and second moments. */
  moments: number;
  ema: number;
  /** The most that values inside of the training graph take at once, at the text length that takes most. */
  activations: number;
  /** The part of the activations that is as wide as the vocabulary. */
  logits: number;
  /** What is computed once per session and kept. */
  constants: number;
  /** Values inside of the optimizer graph. */
  optimizer: number;
  /** All but `logits`, which is part of the activations. */
  total: number;
}

/** What one step of training needs. */
export interface MemoryPlan {
  /** Number of parameters, and how many of them are trained. */
  params: Record<ParamGroup, number>;
  trainable: Record<ParamGroup, number>;
  bytes: PlanBytes;
  /** Operations of one step at the full text length: of matrix products, and of all. */
  matmulFlops: number;
  flops: number;
  /** Bytes that the kernels of one step read and write. */
  traffic: number;
  /** Kernels that one step launches. */
  kernels: number;
}

/** From this batch size on, a plan is a straight line through two smaller ones: all that grows with it is linear. */
const LINEAR_FROM = 256;

/** Plan the artifact that `buildArtifact` would build with the same options. */
export function planMemory(config: ModelConfig, options: ArtifactOptions): MemoryPlan {
  const { batchSize } = options;
  if (batchSize <= LINEAR_FROM) return planGraphs(config, options);
  const half = LINEAR_FROM / 2;
  const [a, b] = [half, LINEAR_FROM].map((n) => planGraphs(config, { ...options, batchSize: n }));
  return line(a!, b!, (batchSize - half) / half);
}

/** `a + (b − a)·t` for every number of two records of one form. */
function line<T>(a: T, b: T, t: number): T {
  if (typeof a === "number") return (a + ((b as number) - a) * t) as T;
  const entries = Object.entries(a as object).map(([key, x]) => [key, line(x, b[key as keyof T], t)]);
  return Object.fromEntries(entries) as T;
}

function planGraphs(config: ModelConfig, options: ArtifactOptions): MemoryPlan {
  const training = buildTrainingModel(config, options);
  const step = cost(training.context.graph, training.outputs.values());
  let { constantBytes: constants } = step;
  let activations = step.peak.arenaBytes;
  // Buckets run in turns and share an arena.
  for (const length of options.tokenBuckets ?? []) {
    const lossRows = Math.min(options.lossRows ?? length - 1, length - 1);
    const bucket = buildTrainingModel({ ...config, maxTokenLen: length }, { ...options, lossRows });
    const { peak, constantBytes } = cost(bucket.context.graph, bucket.outputs.values());
    activations = Math.max(activations, peak.arenaBytes);
    constants += constantBytes;
  }
  const update = optimizerCost(config, options, training.trainable);
  const bytes = {
    parameters: parameterBytes(training),
    gradients: outputBytes(training.outputs, "grad/"),
    moments: update.moments,
    ema: update.ema,
    activations,
    logits: step.peak.buffers
      .filter((v) => v.shape.at(-1) === config.vocabSize)
      .reduce((sum, v) => sum + byteSize(v), 0),
    constants: constants + update.constantBytes,
    optimizer: update.peak.arenaBytes,
  };
  const { logits: _, ...parts } = bytes;
  const total = Object.values(parts).reduce((sum, n) => sum + n, 0);
  const matmulFlops = step.matmulFlops + update.matmulFlops;
  return {
    params: countParams(training.context.specs),
    trainable: countParams(training.trainable),
    bytes: { ...bytes, total },
    matmulFlops,
    flops: matmulFlops + step.otherFlops + update.otherFlops,
    traffic: step.bytesRead + step.bytesWritten + update.bytesRead + update.bytesWritten,
    kernels: step.steps + update.steps,
  };
}

interface OptimizerCost extends Cost {
  moments: number;
  ema: number;
}

/** The last optimizer that was counted: one choice after the other has the same. */
let counted: { key: string; found: OptimizerCost } | undefined;

function optimizerCost(
  config: ModelConfig,
  options: ArtifactOptions,
  trainable: readonly ParamSpec[],
): OptimizerCost {
  const { batchSize: _, imageKeys: _k, lossRows: _r, rematerialize: _m, tokenBuckets: _b, ...rest } = options;
  const key = JSON.stringify([config, rest, trainable.length]);
  if (counted?.key !== key) {
    const { graph, outputs } = buildOptimizer(trainable, { ...DEFAULT_OPTIMIZER, ...options.optimizer });
    const moments = inputBytes(graph, "mu/") + inputBytes(graph, "nu/");
    counted = {
      key,
      found: { ...cost(graph, outputs.values()), moments, ema: inputBytes(graph, "ema/") },
    };
  }
  return counted.found;
}

/** Bytes of all parameters, in the types in which the graph takes them; those that it does not read as float32. */
function parameterBytes({ context }: TrainingModel): number {
  const inputs = new Map(context.graph.inputs.map((x) => [x.name, x]));
  const bytes = ({ name, shape }: ParamSpec) =>
    byteSize(inputs.get(name) ?? { dtype: "float32" as const, shape });
  return context.specs.reduce((sum, spec) => sum + bytes(spec), 0);
}

function inputBytes({ inputs }: Graph, prefix: string): number {
  return inputs.reduce((sum, x) => sum + (x.name.startsWith(prefix) ? byteSize(x) : 0), 0);
}

function outputBytes(outputs: ReadonlyMap<string, Value>, prefix: string): number {
  return [...outputs].reduce((sum, [name, v]) => sum + (name.startsWith(prefix) ? byteSize(v) : 0), 0);
}
