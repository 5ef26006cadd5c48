/** The trainer as a library: configurations, the training loop, checkpoints, evaluation, the command line. */
export {
  type Checkpoint,
  findCheckpoint,
  latestCheckpoint,
  listCheckpoints,
  type Progress,
  readCheckpoint,
  readCheckpointConfig,
  readParams,
  saveCheckpoint,
} from "./checkpoint.js";
export type { Io } from "./commands/command.js";
export { type ConfigFile, type LoadedConfig, loadConfig } from "./configs/file.js";
export { mergeOverrides, type Overrides, parseOverrides } from "./configs/overrides.js";
export { DEFAULT_CONFIG, getConfig, listConfigs } from "./configs/registry.js";
export { type Resolution, resolveConfig, scaledSchedule } from "./configs/resolve.js";
export { checkRunConfig } from "./configs/schema.js";
export type {
  DataConfig,
  OptimizerConfig,
  Robot,
  RunConfig,
  TrainConfig,
  ValidationConfig,
} from "./configs/types.js";
export { makePipeline, type Pipeline, type PipelineOptions } from "./data/pipeline.js";
export { type RobotSpec, robotSpec } from "./data/robots.js";
export { type DataSource, findData } from "./data/source.js";
export { openTrainData, type TrainData } from "./data/train-data.js";
export { type ActionErrors, type EvaluateOptions, type EvaluateParts, evaluateParams } from "./evaluate.js";
export { readMetrics, readValidations } from "./metrics/jsonl.js";
export type { MetricsRow, ValidationRow } from "./metrics/row.js";
export { makePlan, type Plan } from "./plan.js";
export { runCli } from "./program.js";
export { type ReportOptions, writeReport } from "./report/index.js";
export { flowDraws, makeRng, type Rng, type RngState } from "./rng.js";
export { openRunDir, type RunDir } from "./run-dir.js";
export { type LrSchedule, learningRate } from "./schedule.js";
export {
  type Best,
  type LoadedBatch,
  type SampleOrigin,
  type StepDone,
  type StepHook,
  type TrainBatches,
  type TrainOptions,
  type TrainParts,
  type TrainResult,
  train,
} from "./train.js";
