/** @file openpi's `TrainConfig` defaults (`training/config.py`, `training/optimizer.py`). */
import { type ModelOptions, modelTypeOf, usesQuantileNorm } from "@insula/model-types";
import type { CudaConfig, DataConfig, TrainConfig, ValidationConfig } from "./types.js";

/** Everything as ONNX Runtime has it. */
export const DEFAULT_CUDA: CudaConfig = {
  memoryLimit: null,
  arenaExtend: null,
  tf32: null,
  cudnnConvAlgoSearch: null,
};

/** 128 frames at a batch of 32, and 16 chunks. */
export const DEFAULT_VALIDATION: ValidationConfig = {
  interval: 1000,
  episodes: null,
  batches: 4,
  sampledChunks: 16,
  denoiseSteps: 10,
  metric: "action_error",
};

type Declared = Partial<Omit<TrainConfig, "name" | "model" | "data">> & {
  name: string;
  model: Omit<ModelOptions, "size">;
  data: Partial<DataConfig> & Pick<DataConfig, "robot" | "assetId">;
};

/** Fill the gaps of a declared configuration. */
export function defineConfig(declared: Declared): TrainConfig {
  const { data, ...rest } = declared;
  return {
    optimizer: {
      b1: 0.9,
      b2: 0.95,
      eps: 1e-8,
      weightDecay: 1e-10,
      noWeightDecay: [],
      clipGradientNorm: 1.0,
      clip: "joint",
    },
    lrSchedule: { type: "cosine", warmupSteps: 1000, peakLr: 2.5e-5, decaySteps: 30_000, decayLr: 2.5e-6 },
    emaDecay: 0.99,
    batchSize: 32,
    gradientAccumulation: 1,
    flowDraws: 1,
    numTrainSteps: 30_000,
    seed: 42,
    numWorkers: 2,
    logInterval: 100,
    histogramInterval: 500,
    validation: DEFAULT_VALIDATION,
    saveInterval: 1000,
    maxToKeep: 1,
    keepPeriod: 5000,
    checkpointBaseDir: null,
    maxSaveFailures: 5,
    saveRetrySeconds: 30,
    emergencyDir: null,
    weights: null,
    device: "cpu",
    runtime: null,
    cuda: DEFAULT_CUDA,
    computeType: "float32",
    train: "all",
    insulate: true,
    freeze: [],
    frozenType: "bfloat16",
    lossRows: null,
    rematerialize: "auto",
    maxSkippedSteps: 20,
    ...rest,
    data: {
      repoId: null,
      promptFromTask: false,
      defaultPrompt: null,
      useQuantileNorm: usesQuantileNorm(modelTypeOf(declared.model)),
      deltaActions: null,
      assetsDir: null,
      augment: "corrected",
      onCorrupt: "fatal",
      heldOut: 0.125,
      filter: null,
      fps: null,
      fastModelTokenizer: { type: "fast", path: null },
      mixture: null,
      ...data,
    },
  };
}
