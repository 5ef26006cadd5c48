/** @file openpi's `TrainConfig` defaults (`training/config.py`, `training/optimizer.py`). */
import { type ModelConfig, modelTypeOf, usesQuantileNorm } from "@insula/model-types";
import type { CudaConfig, DataConfig, TrainConfig } from "./types.js";

/** Everything as ONNX Runtime has it. */
export const DEFAULT_CUDA: CudaConfig = {
  memoryLimit: null,
  arenaExtend: null,
  tf32: null,
  cudnnConvAlgoSearch: null,
};

type Declared = Partial<Omit<TrainConfig, "name" | "model" | "data">> & {
  name: string;
  model: Partial<ModelConfig>;
  data: Partial<DataConfig> & Pick<DataConfig, "robot" | "assetId">;
};

/** Fill the gaps of a declared configuration. */
export function defineConfig(declared: Declared): TrainConfig {
  const { data, ...rest } = declared;
  return {
    optimizer: { b1: 0.9, b2: 0.95, eps: 1e-8, weightDecay: 1e-10, clipGradientNorm: 1.0 },
    lrSchedule: { type: "cosine", warmupSteps: 1000, peakLr: 2.5e-5, decaySteps: 30_000, decayLr: 2.5e-6 },
    emaDecay: 0.99,
    batchSize: 32,
    numTrainSteps: 30_000,
    seed: 42,
    logInterval: 100,
    saveInterval: 1000,
    keepPeriod: 5000,
    weights: null,
    device: "cpu",
    runtime: null,
    cuda: DEFAULT_CUDA,
    computeType: "float32",
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
      heldOut: 0.125,
      ...data,
    },
  };
}
