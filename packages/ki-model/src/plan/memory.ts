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
import { buildTrainingModel, microBatchSize, type TrainingModel } from "../training/training-model.js";

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

/** Bytes of parameters, and of what belongs to those that are trained. */
export type StateBytes = Pick<PlanBytes, "parameters" | "gradients" | "moments" | "ema">;

/** What one step of training needs. */
export interface MemoryPlan {
  /** Number of parameters, and how many of them are trained. */
  params: Record<ParamGroup, number>;
  trainable: Record<ParamGroup, number>;
  /** The first four of `bytes`, by group. */
  state: Record<ParamGroup, StateBytes>;
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

/**
 * Plan the artifact that `buildArtifact` would build with the same options. Memory is that of one micro-batch; the
 * work is that of the step, so of all of them.
 */
export function planMemory(config: ModelConfig, options: ArtifactOptions): MemoryPlan {
  const rows = microBatchSize(options);
  const { gradientAccumulation: parts = 1 } = options;
  const plan = (n: number) => planGraphs(config, { ...options, batchSize: n * parts });
  if (rows <= LINEAR_FROM) return plan(rows);
  const half = LINEAR_FROM / 2;
  const [a, b] = [half, LINEAR_FROM].map(plan);
  return line(a!, b!, (rows - half) / half);
}

/** `a + (b − a)·t` for every number of two records of one form. */
function line<T>(a: T, b: T, t: number): T {
  if (typeof a === "number") return (a + ((b as number) - a) * t) as T;
  const entries = Object.entries(a as object).map(([key, x]) => [key, line(x, b[key as keyof T], t)]);
  return Object.fromEntries(entries) as T;
}

function planGraphs(config: ModelConfig, options: ArtifactOptions): MemoryPlan {
  const { gradientAccumulation: parts = 1 } = options;
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
  const update = optimizerCost(options, training.trainable);
  const state = { vlm: stateBytes(training, update, "vlm"), expert: stateBytes(training, update, "expert") };
  const both = (key: keyof StateBytes) => state.vlm[key] + state.expert[key];
  const bytes = {
    parameters: both("parameters"),
    gradients: both("gradients"),
    moments: both("moments"),
    ema: both("ema"),
    activations,
    logits: step.peak.buffers
      .filter((v) => v.shape.at(-1) === config.vocabSize)
      .reduce((sum, v) => sum + byteSize(v), 0),
    constants: constants + update.constantBytes,
    optimizer: update.peak.arenaBytes,
  };
  const { logits: _, ...summed } = bytes;
  const total = Object.values(summed).reduce((sum, n) => sum + n, 0);
  const matmulFlops = parts * step.matmulFlops + update.matmulFlops;
  return {
    params: countParams(training.context.specs),
    trainable: countParams(training.trainable),
    state,
    bytes: { ...bytes, total },
    matmulFlops,
    flops: matmulFlops + parts * step.otherFlops + update.otherFlops,
    traffic: parts * (step.bytesRead + step.bytesWritten) + update.bytesRead + update.bytesWritten,
    kernels: parts * step.steps + update.steps,
  };
}

interface OptimizerCost extends Cost {
  graph: Graph;
}

/** The last optimizer that was counted: one choice after the other has the same. */
let counted: { key: string; found: OptimizerCost } | undefined;

function optimizerCost(options: ArtifactOptions, trainable: readonly ParamSpec[]): OptimizerCost {
  const key = JSON.stringify([
    options.optimizer,
    options.computeType,
    trainable.map(({ name, shape }) => [name, shape]),
  ]);
  if (counted?.key !== key) {
    const { graph, outputs } = buildOptimizer(trainable, { ...DEFAULT_OPTIMIZER, ...options.optimizer });
    counted = { key, found: { ...cost(graph, outputs.values()), graph } };
  }
  return counted.found;
}

/** The state of one group, in the types in which graphs take it. */
function stateBytes(
  { context, trainable, outputs }: TrainingModel,
  { graph }: OptimizerCost,
  group: ParamGroup,
): StateBytes {
  const sum = (values: Iterable<Value>) => [...values].reduce((total, v) => total + byteSize(v), 0);
  const trained = trainable.filter((spec) => spec.group === group).map(({ name }) => name);
  const inputs = new Map(graph.inputs.map((x) => [x.name, x]));
  const held = (prefix: string) => sum(trained.flatMap((name) => inputs.get(`${prefix}/${name}`) ?? []));
  return {
    parameters: sum(
      context.specs.filter((s) => s.group === group).map((s) => context.param(s.path, s.layer)),
    ),
    gradients: sum(trained.map((name) => outputs.get(`grad/${name}`)!)),
    moments: held("mu") + held("nu"),
    ema: held("ema"),
  };
}
