/**
 * @file Running a case's graphs: the training model exactly as an artifact holds it, and inner values by name
 * from a second serialisation of the same graph.
 */
import {
  type Artifact,
  buildArtifact,
  buildTrainingModel,
  type OptimizerOptions,
  type ParamTree,
  paramSpecs,
  pickFeeds,
  toFileParams,
  toGraphParams,
  trainFeeds,
} from "@insula/ki-model";
import type { ModelConfig } from "@insula/model-types";
import { serialize, type Value } from "@insula/onnx-grad";
import { createSession, type Tensor, tensor } from "@insula/ort-session";
import type { ModelCase } from "./case.js";

/** Losses and gradients of one batch. */
export interface TrainingResult {
  losses: { total: number; action_loss?: number; fast_loss?: number };
  /** Under file names; parameters to which no loss leads are absent. */
  gradients: ParamTree;
}

/** The artifact that `insula train` would run for the case. */
export function artifactOf(
  { config, batchSize }: ModelCase,
  {
    changes = {},
    optimizer = {},
  }: { changes?: Partial<ModelConfig>; optimizer?: Partial<OptimizerOptions> } = {},
): Artifact {
  return buildArtifact({ ...config, ...changes }, { batchSize, optimizer });
}

/** Run `training_model.onnx` of an artifact on the case's batch. */
export async function runTraining(artifact: Artifact, model: ModelCase): Promise<TrainingResult> {
  const out = await runBytes(artifact.models["training_model"]!, model);
  const gradients = new Map<string, Tensor>();
  const losses: Record<string, number> = {};
  for (const [name, value] of Object.entries(out)) {
    if (name.startsWith("grad/")) gradients.set(name.slice("grad/".length), value);
    else losses[name] = Number(value.data[0]);
  }
  return {
    losses: losses as unknown as TrainingResult["losses"],
    gradients: toFileParams(paramSpecs(artifact.manifest.config), gradients),
  };
}

/** The training graph's inner values that `wanted` accepts. */
export async function runTaps(
  model: ModelCase,
  wanted: (name: string) => boolean = () => true,
  changes: Partial<ModelConfig> = {},
): Promise<Map<string, Tensor>> {
  const { context } = buildTrainingModel({ ...model.config, ...changes }, { batchSize: model.batchSize });
  const outputs = new Map<string, Value>();
  for (const [name, value] of context.taps) if (wanted(name)) outputs.set(`tap/${name}`, value);
  const out = await runBytes(serialize(context.graph, outputs, { name: "taps" }).bytes, model);
  return new Map(Object.entries(out).map(([name, value]) => [name.slice("tap/".length), value]));
}

async function runBytes(bytes: Uint8Array, model: ModelCase): Promise<Record<string, Tensor>> {
  const session = await createSession(bytes, model.backend);
  try {
    const weights = toGraphParams(paramSpecs(model.config), model.params);
    const feeds = pickFeeds(session.inputs, trainFeeds(model.batch, model.draws), (name) =>
      weights.has(name),
    );
    for (const { name } of session.inputs) {
      const weight = weights.get(name);
      if (weight) feeds[name] = tensor(weight.data, weight.shape);
    }
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

/** Euclidean norm over all tensors, in float64. */
export function globalNorm(tree: ParamTree, wanted: (path: string) => boolean = () => true): number {
  let sum = 0;
  for (const [path, { data }] of tree) if (wanted(path)) for (const x of data) sum += x * x;
  return Math.sqrt(sum);
}
