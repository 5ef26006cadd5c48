/**
 * @file What a training configuration is: plain data (openpi `training/config.py`, names in camelCase). A
 * {@link TrainConfig} is what a config file declares; `resolveConfig` turns it, a size and the user's
 * overrides into a {@link RunConfig} with every field filled, which is what a checkpoint keeps.
 */
import type { ComputeType, Rematerialize } from "@insula/ki-model";
import type { ModelConfig, ModelSize } from "@insula/model-types";
import type { CudaOptions, Device, Runtime } from "@insula/ort-session";
import type { LrSchedule } from "../schedule.js";

/** Robots whose observations and actions the data pipeline knows. */
export const ROBOTS = ["droid", "libero", "aloha", "aloha_sim"] as const;
export type Robot = (typeof ROBOTS)[number];

export interface DataConfig {
  /** LeRobot dataset id or folder; null trains on the embedded sample data unless `--dataset` is given. */
  repoId: string | null;
  /** Name under which normalisation statistics are kept in a checkpoint's `assets/`. */
  assetId: string;
  robot: Robot;
  /** Take the prompt from the dataset's task of each frame. */
  promptFromTask: boolean;
  /** Prompt for samples that have none; null refuses them. */
  defaultPrompt: string | null;
  /** Normalise by 1 % and 99 % quantiles (all model types but pi0) or by mean and standard deviation. */
  useQuantileNorm: boolean;
  /**
   * Runs of action dims that become differences to the state (openpi `make_bool_mask`): `[7, -1]` means
   * seven differences, then one absolute. null: actions as they are.
   */
  deltaActions: number[] | null;
  /** Folder with `<assetId>/norm_stats.json` to use instead of statistics of the dataset. */
  assetsDir: string | null;
  /**
   * Crop, rotation and colour jitter of training images: openpi's as it is meant (`corrected`: one draw for all cameras,
   * saturation works), as it is written (`upstream`), or none.
   */
  augment: "corrected" | "upstream" | "none";
  /** Share of episodes kept out of training, for `insula evaluate`; at least one episode when above 0. */
  heldOut: number;
}

export interface OptimizerConfig {
  b1: number;
  b2: number;
  eps: number;
  weightDecay: number;
  /** Joint norm of all gradients above which they are scaled down. */
  clipGradientNorm: number;
}

/** Settings of CUDA's execution provider; null leaves each to ONNX Runtime. */
export type CudaConfig = { [K in keyof CudaOptions]-?: NonNullable<CudaOptions[K]> | null };

interface TrainSettings {
  /** Unique name. */
  name: string;
  optimizer: OptimizerConfig;
  lrSchedule: LrSchedule;
  /** Decay of the exponential moving average of all parameters; null: no average. */
  emaDecay: number | null;
  /** Samples per step. */
  batchSize: number;
  numTrainSteps: number;
  seed: number;
  /** Steps between console lines. */
  logInterval: number;
  /** Steps between checkpoints. */
  saveInterval: number;
  /** Checkpoints whose step is a multiple of this are never deleted; null keeps only the latest. */
  keepPeriod: number | null;
  /** Initial weights: a checkpoint folder or a `.safetensors` file; null: random. */
  weights: string | null;
  /** Where the model computes: `cpu`, `cuda` (the first GPU) or `cuda:<number>`. */
  device: Device;
  /** What drives ONNX Runtime; null: its C API on Linux, onnxruntime-node's elsewhere. */
  runtime: Runtime | null;
  cuda: CudaConfig;
  /** Element type of activations and products; the 16-bit ones are for CUDA, float16 with a dynamic loss scale. */
  computeType: ComputeType;
  /** Parameters that are not trained: regular expressions for whole paths, as openpi's freeze filters. */
  freeze: string[];
  /** Element type in which frozen parameters are stored. The node runtime has no bfloat16. */
  frozenType: "bfloat16" | "float32";
  /** Most FAST targets of a sample: bounds the rows of logits, and a sample with more is an error; null: no bound. */
  lossRows: number | null;
  /** Layers computed again in the backward pass; `auto`: none, half or all, as memory allows. Changes no number. */
  rematerialize: Rematerialize | "auto";
  /** Steps in a row that a gradient which is not finite may skip before the run ends. */
  maxSkippedSteps: number;
}

/** A named configuration as declared: model fields that are not named have openpi's defaults. */
export interface TrainConfig extends TrainSettings {
  /** Size when none is asked for; absent: full, or tiny on the embedded data. */
  size?: ModelSize;
  model: Partial<ModelConfig>;
  data: DataConfig;
}

/** A configuration with every field filled. */
export interface RunConfig extends TrainSettings {
  size: ModelSize;
  model: ModelConfig;
  data: DataConfig;
}
