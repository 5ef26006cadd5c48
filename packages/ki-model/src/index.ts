/** SigLIP, Gemma experts, flow matching and knowledge-insulation losses as ONNX graphs. */
export {
  type Artifact,
  type ArtifactOptions,
  buildArtifact,
  type Manifest,
  type ManifestModel,
  type ManifestParam,
  type ManifestTensor,
  readArtifact,
  writeArtifact,
} from "./artifact.js";
export type { ExecutionOptions } from "./device-tensors.js";
export { observationFeeds, pickFeeds, trainFeeds } from "./feeds.js";
export { buildFastDecodeModel, buildFastPrefixModel } from "./inference/fast-models.js";
export { createFastSampler, type FastSampler, type FastSamplerOptions } from "./inference/fast-sampler.js";
export {
  type BuiltModel,
  buildDenoiseModel,
  buildPrefixModel,
  type InferenceOptions,
  serializeModel,
} from "./inference/models.js";
export { createSampler, type Sampler, type SamplerOptions } from "./inference/sampler.js";
export type { ComputeType, ModelContext, PrecisionOptions } from "./model/context.js";
export type { LayerStack, Rematerialize } from "./model/rematerialize.js";
export { initParams } from "./params/init.js";
export { toFileParams, toGraphParams } from "./params/layout.js";
export {
  countParams,
  type Init,
  isExpert,
  type ParamGroup,
  type ParamSpec,
  paramSpecs,
  stackedShape,
} from "./params/spec.js";
export { type Choice, type ChooseOptions, type ChosenPlan, choosePlan } from "./plan/choose.js";
export { type MemoryPlan, type PlanBytes, planMemory } from "./plan/memory.js";
export type {
  FlowDraws,
  LossMetrics,
  ParamTree,
  StepMetrics,
  TrainBatch,
  TrainMemory,
  TrainSession,
  TrainState,
} from "./train-session.js";
export { type GradientPaths, gradientPaths } from "./training/gradient-paths.js";
export { type LossScale, nextLossScale } from "./training/loss-scale.js";
export type { Losses, LossOptions } from "./training/losses.js";
export {
  buildOptimizer,
  DEFAULT_OPTIMIZER,
  type OptimizerOptions,
  type Trainable,
} from "./training/optimizer-model.js";
export { createTrainSession, type TrainSessionOptions } from "./training/session.js";
export {
  buildTrainingModel,
  type TrainingModel,
  type TrainingModelOptions,
} from "./training/training-model.js";
