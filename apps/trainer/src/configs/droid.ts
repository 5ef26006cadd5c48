/**
 * @file DROID (Franka arm): 7 joint velocities or positions and a gripper, 15 Hz. Numbers are openpi's;
 * `pi05_droid_ki` is π0.5 trained with knowledge insulation (arXiv:2505.23705).
 */
import { defineConfig } from "./defaults.js";
import type { DataConfig, FastModelTokenizer, TrainConfig } from "./types.js";

const droid: Partial<DataConfig> & Pick<DataConfig, "robot" | "assetId"> = {
  robot: "droid",
  assetId: "droid",
  promptFromTask: true,
};

/** Upstream's resolution. */
const BINS: FastModelTokenizer = { type: "binning", bins: 256 };

/** openpi's schedule for joint positions: up over 1000 steps, and as good as constant from there. */
export const JOINT_POSITION_SCHEDULE = {
  type: "cosine",
  warmupSteps: 1000,
  peakLr: 5e-5,
  decaySteps: 1_000_000,
  decayLr: 5e-5,
} as const;

/** Fine-tuning on all of DROID: 100k steps of 256 samples, joint positions as differences to the state. */
const fullFinetune = {
  data: { ...droid, deltaActions: [7, -1] as number[] },
  lrSchedule: JOINT_POSITION_SCHEDULE,
  numTrainSteps: 100_000,
  batchSize: 256,
  saveInterval: 5000,
} as const satisfies Partial<Parameters<typeof defineConfig>[0]>;

export const DROID_CONFIGS: readonly TrainConfig[] = [
  defineConfig({
    name: "pi05_droid_ki",
    model: {
      pi05: true,
      knowledgeInsulation: true,
      kiFastTokenLossWeight: 1.0,
      actionDim: 32,
      actionHorizon: 50,
      maxTokenLen: 256,
    },
    data: droid,
  }),
  defineConfig({ name: "pi0_droid", model: { actionHorizon: 10 }, data: droid }),
  defineConfig({
    name: "pi0_fast_droid",
    model: { pi0Fast: true, actionDim: 8, actionHorizon: 10 },
    data: droid,
  }),
  // RoboArena's comparison of action representations (openpi `misc/roboarena_config.py`).
  defineConfig({
    name: "paligemma_binning_droid",
    model: { pi0Fast: true, actionDim: 8, actionHorizon: 15, maxTokenLen: 400 },
    data: { ...droid, fastModelTokenizer: BINS },
  }),
  defineConfig({
    name: "paligemma_fast_droid",
    model: { pi0Fast: true, actionDim: 8, actionHorizon: 15 },
    data: droid,
  }),
  defineConfig({
    name: "paligemma_fast_specialist_droid",
    model: { pi0Fast: true, actionDim: 8, actionHorizon: 15 },
    // Fitted on DROID alone, where FAST+ was on many robots.
    data: { ...droid, fastModelTokenizer: { type: "fast", path: "KarlP/fast_droid_specialist" } },
  }),
  defineConfig({
    name: "paligemma_vq_droid",
    model: { pi0Fast: true, actionDim: 8, actionHorizon: 15 },
    data: {
      ...droid,
      fastModelTokenizer: { type: "fsq", path: "gs://openpi-assets/tokenizers/droid_fsq_tokenizer" },
    },
  }),
  defineConfig({
    name: "paligemma_diffusion_droid",
    model: { actionDim: 8, actionHorizon: 10 },
    data: droid,
  }),
  // PolaRiS's, which openpi cannot train (`misc/polaris_config.py`).
  defineConfig({
    name: "paligemma_binning_droid_jointpos",
    model: { pi0Fast: true, actionDim: 8, actionHorizon: 15, maxTokenLen: 600 },
    data: { ...droid, fastModelTokenizer: BINS, deltaActions: [7, -1] },
  }),
  defineConfig({ name: "pi05_droid", model: { pi05: true, actionHorizon: 15 }, data: droid }),
  defineConfig({
    name: "pi05_droid_finetune",
    model: { pi05: true, actionDim: 32, actionHorizon: 16 },
    data: { ...droid, assetsDir: "gs://openpi-assets/checkpoints/pi05_droid/assets" },
    weights: "gs://openpi-assets/checkpoints/pi05_droid/params",
    numTrainSteps: 20_000,
    batchSize: 32,
  }),
  defineConfig({
    ...fullFinetune,
    name: "pi05_full_droid_finetune",
    model: { pi05: true, actionDim: 32, actionHorizon: 16 },
    data: { ...fullFinetune.data, assetsDir: "gs://openpi-assets/checkpoints/pi05_base/assets" },
    weights: "gs://openpi-assets/checkpoints/pi05_base/params",
    keepPeriod: 10_000,
  }),
  defineConfig({
    ...fullFinetune,
    name: "pi0_fast_full_droid_finetune",
    model: { pi0Fast: true, actionDim: 8, actionHorizon: 16, maxTokenLen: 180 },
    weights: "gs://openpi-assets/checkpoints/pi0_fast_base/params",
    keepPeriod: 20_000,
  }),
];
