/**
 * @file What a training configuration is: plain data (openpi `training/config.py`, names in camelCase). A
 * {@link TrainConfig} is what a config file declares; `resolveConfig` turns it, a size and the user's
 * overrides into a {@link RunConfig} with every field filled, which is what a checkpoint keeps.
 */

import type { Clip, ComputeType, Rematerialize, TrainPart } from "@insula/ki-model";
import type { IdleOptions } from "@insula/lerobot-dataset";
import type { ModelConfig, ModelOptions, ModelSize } from "@insula/model-types";
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
  /**
   * Folder with `<assetId>/norm_stats.json` to use instead of statistics of the dataset. An address, as openpi's
   * configurations have it, is refused with what to do.
   */
  assetsDir: string | null;
  /**
   * Crop, rotation and colour jitter of training images: openpi's as it is meant (`corrected`: one draw for all cameras,
   * saturation works), as it is written (`upstream`), or none.
   */
  augment: "corrected" | "upstream" | "none";
  /**
   * What becomes of a frame whose image, video or file cannot be read: end the run, or train on the next readable one
   * of the epoch's order in its place, counted as `skipped_samples`.
   */
  onCorrupt: "fatal" | "skip";
  /** Share of episodes kept out of training, for validation and `insula evaluate`; at least one episode when above 0. */
  heldOut: number;
  /** Which frames to train on; null: all. Held-out episodes are split off before, and are not filtered. */
  filter: DataFilter | null;
  /**
   * Frames per second to train at; null: the dataset's own. Numbers are interpolated, cameras are the nearest frame's,
   * chunks and filters count frames of this rate.
   */
  fps: number | null;
  /** What turns actions into tokens, for pi0_fast and pi05_ki. */
  fastModelTokenizer: FastModelTokenizer;
  /**
   * Several datasets instead of `repoId`, drawn by weight. All count towards the statistics by their weights; validation
   * and evaluation use the first.
   */
  mixture: MixtureEntry[] | null;
}

/**
 * An action tokenizer (openpi `fast_model_tokenizer` and `fast_model_tokenizer_kwargs`).
 * `fast`: FAST, from a folder or a repository of the Hugging Face hub; null: the embedded one, or that of `--tokenizers`,
 * which wins in any case. `binning`: a token per number, of so many over the normalised range (RT-2, OpenVLA). `fsq`:
 * openpi's attention autoencoder, from a folder; null: that of `--tokenizers`.
 */
export type FastModelTokenizer =
  | { type: "fast"; path: string | null }
  | { type: "binning"; bins: number }
  | { type: "fsq"; path: string | null };

/** Which frames to train on: those that pass everything given. */
export interface DataFilter {
  /** `episode_index` of the episodes to keep. */
  episodes?: number[];
  /** Instructions to keep. */
  tasks?: string[];
  /** Instead of `tasks`: a regular expression that instructions must match. */
  taskPattern?: string;
  /** Keep episodes that succeeded (true) or failed (false). */
  success?: boolean;
  /** The feature that says so. Default: `next.success`, `success` or `is_episode_successful`. */
  successColumn?: string;
  /** Drop pauses: openpi's rule for DROID, or with other numbers. */
  idle?: boolean | IdleOptions;
  /** File of frames to keep: `{"<episode_index>": [[start, end], …]}`; episodes that it does not name are left out. */
  rangesFile?: string;
}

/** One dataset of a mixture. */
export interface MixtureEntry {
  /** Folder or hub id. */
  repoId: string;
  /** Relative share of the training frames; the weights need not add up to 1. */
  weight: number;
  /** Default: `data.robot`. It must have the same action dims and cameras. */
  robot?: Robot;
  /** Default: `data.filter`. */
  filter?: DataFilter | null;
}

export interface OptimizerConfig {
  b1: number;
  b2: number;
  eps: number;
  weightDecay: number;
  /** Parameters without decay: regular expressions for whole paths, such as `.*(bias|scale)`. */
  noWeightDecay: string[];
  /** Norm of the gradients above which they are scaled down. */
  clipGradientNorm: number;
  /** One norm for all gradients (openpi), or the VLM's and the expert's each by their own. */
  clip: Clip;
}

/** Settings of CUDA's execution provider; null leaves each to ONNX Runtime. */
export type CudaConfig = { [K in keyof CudaOptions]-?: NonNullable<CudaOptions[K]> | null };

/** What can decide which step is the best; `action_error` is relative to always answering with the mean action. */
export const VALIDATION_METRICS = ["action_error", "total", "action_loss", "fast_loss"] as const;
export type ValidationMetric = (typeof VALIDATION_METRICS)[number];

/** Validation on held-out episodes, with the weights that a checkpoint serves and the same frames and draws each time. */
export interface ValidationConfig {
  /** Steps between validations; null: never. */
  interval: number | null;
  /** Most held-out episodes to look at, spread evenly; null: all. */
  episodes: number | null;
  /** Batches of held-out frames, spread evenly, whose losses are averaged. */
  batches: number;
  /** Action chunks sampled and compared with the recorded ones, in physical units; 0: none. */
  sampledChunks: number;
  /** Denoising steps per chunk; pi0_fast has none. */
  denoiseSteps: number;
  /** What the best step has the lowest value of. */
  metric: ValidationMetric;
}

interface TrainSettings {
  /** Unique name. */
  name: string;
  optimizer: OptimizerConfig;
  lrSchedule: LrSchedule;
  /** Decay of the exponential moving average of all parameters; null: no average. */
  emaDecay: number | null;
  /** Samples per step. */
  batchSize: number;
  /**
   * Micro-batches that a step is computed in: memory for a `gradientAccumulation`-th of the batch, and the same update.
   * A divisor of `batchSize`.
   */
  gradientAccumulation: number;
  /** Draws of noise and time per sample: the VLM runs once for all, the expert once for each. 1 for pi0_fast. */
  flowDraws: number;
  numTrainSteps: number;
  seed: number;
  /** Threads that read, decode, augment and tokenize samples; 0: the process that trains does. Changes no number. */
  numWorkers: number;
  /** Steps between console lines. */
  logInterval: number;
  /** Steps between histograms of the gradients for TensorBoard; null: none. */
  histogramInterval: number | null;
  validation: ValidationConfig;
  /** Steps between checkpoints. */
  saveInterval: number;
  /** Newest checkpoints to keep; null: all. The best one stays besides. */
  maxToKeep: number | null;
  /** Checkpoints whose step is a multiple of this are never deleted; null: none. */
  keepPeriod: number | null;
  /** Checkpoints go to `<checkpointBaseDir>/<config>/<exp>/<step>`; null: into the run's folder. */
  checkpointBaseDir: string | null;
  /** Failed saves in a row that end a run. Until then it goes on and tries again. */
  maxSaveFailures: number;
  /** Seconds from a failed save to the next try; twice as long after every further one, up to ten minutes. */
  saveRetrySeconds: number;
  /** Where a last checkpoint goes when saving is given up; null: nowhere. */
  emergencyDir: string | null;
  /** Initial weights: a checkpoint folder or a `.safetensors` file; null: random. */
  weights: string | null;
  /** Where the model computes: `cpu`, `cuda` (the first GPU) or `cuda:<number>`. */
  device: Device;
  /** What drives ONNX Runtime; null: its C API on Linux, onnxruntime-node's elsewhere. */
  runtime: Runtime | null;
  cuda: CudaConfig;
  /** Element type of activations and products; the 16-bit ones are for CUDA, float16 with a dynamic loss scale. */
  computeType: ComputeType;
  /**
   * What is trained: `all`; the action `expert`; the `vlm`; `lora`, as openpi's low-memory configurations: everything but
   * the language-model weights that have adapters; `lora-only`: the adapters alone.
   */
  train: TrainPart;
  /** pi05_ki: keep the action loss out of the VLM. false only to show what that prevents. */
  insulate: boolean;
  /** Further parameters that are not trained: regular expressions for whole paths, as openpi's freeze filters. */
  freeze: string[];
  /** Element type in which frozen parameters are stored. The node runtime has no bfloat16. */
  frozenType: "bfloat16" | "float32";
  /** Most FAST targets of a sample: bounds the rows of logits, and a sample with more is an error; null: no bound. */
  lossRows: number | null;
  /** Layers computed again in the backward pass; `auto`: none, half or all, as memory allows. Changes no number. */
  rematerialize: Rematerialize | "auto";
  /** Steps in a row that a loss or gradient which is not finite may skip before the run ends. */
  maxSkippedSteps: number;
}

/** A named configuration as declared: model fields that are not named have openpi's defaults. */
export interface TrainConfig extends TrainSettings {
  /** Size when none is asked for; absent: full, or tiny on the embedded data. */
  size?: ModelSize;
  model: Omit<ModelOptions, "size">;
  data: DataConfig;
}

/** A configuration with every field filled. */
export interface RunConfig extends TrainSettings {
  size: ModelSize;
  model: ModelConfig;
  data: DataConfig;
}
