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
export { placeParams } from "./inference/sessions.js";
export type { ComputeType, ModelContext, PrecisionOptions } from "./model/context.js";
export type { LayerStack, Rematerialize } from "./model/rematerialize.js";
export type { Init } from "./params/draft.js";
export { addLora, initParams } from "./params/init.js";
export { toFileParams, toGraphParams } from "./params/layout.js";
export { type Adapter, findAdapters, isLora, loraPaths } from "./params/lora.js";
export { matrixOf, mergeLora, mergeRows, type WeightRows } from "./params/merge-lora.js";
export {
  countParams,
  isExpert,
  type ParamGroup,
  type ParamSpec,
  paramSpecs,
  stackedShape,
} from "./params/spec.js";
export {
  loraFreezeFilter,
  type PartOptions,
  partOptions,
  TRAIN_PARTS,
  type TrainPart,
} from "./params/train-part.js";
export { type Choice, type ChooseOptions, type ChosenPlan, choosePlan, halfOfLayers } from "./plan/choose.js";
export { type MemoryPlan, type PlanBytes, planMemory, type StateBytes } from "./plan/memory.js";
export type {
  DeviceParams,
  FlowDraws,
  LossMetrics,
  ParamTree,
  StepMetrics,
  TrainBatch,
  TrainMemory,
  TrainSession,
  TrainState,
  Weights,
} from "./train-session.js";
export { type DiagnoseOptions, findNonFinite } from "./training/diagnose.js";
export { type GradientPaths, gradientPaths } from "./training/gradient-paths.js";
export { type LossScale, nextLossScale } from "./training/loss-scale.js";
export type { Losses, LossOptions } from "./training/losses.js";
export { type NonFinite, nonFiniteText } from "./training/non-finite.js";
export {
  buildOptimizer,
  type Clip,
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
