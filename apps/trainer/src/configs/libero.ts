/**
 * @file LIBERO (simulated Franka arm): end-effector deltas and a gripper, 7 actions, 8 state values. Numbers
 * are openpi's. The pi0 configs take a further difference to the state of the first six dims
 * (`extra_delta_transform`), as the base model was trained that way; the pi05 ones do not.
 */
import { GEMMA_VARIANTS } from "@insula/model-types";
import { defineConfig } from "./defaults.js";
import type { DataConfig, TrainConfig } from "./types.js";

const libero: Partial<DataConfig> & Pick<DataConfig, "robot" | "assetId"> = {
  robot: "libero",
  repoId: "physical-intelligence/libero",
  assetId: "physical-intelligence/libero",
  promptFromTask: true,
};

const pi05Settings = {
  batchSize: 256,
  lrSchedule: {
    type: "cosine",
    warmupSteps: 10_000,
    peakLr: 5e-5,
    decaySteps: 1_000_000,
    decayLr: 5e-5,
  },
  emaDecay: 0.999,
  weights: "gs://openpi-assets/checkpoints/pi05_base/params",
} as const satisfies Partial<TrainConfig>;

/** Adapters are trained, and what has none; the language-model weights below them stay (openpi's `get_freeze_filter`). */
const lowMemory = { train: "lora", emaDecay: null } as const;

export const LIBERO_CONFIGS: readonly TrainConfig[] = [
  defineConfig({
    ...pi05Settings,
    name: "pi05_libero_ki",
    model: { pi05: true, knowledgeInsulation: true, actionHorizon: 10 },
    data: libero,
  }),
  defineConfig({
    name: "pi0_libero",
    model: {},
    data: { ...libero, deltaActions: [6, -1] },
    weights: "gs://openpi-assets/checkpoints/pi0_base/params",
  }),
  defineConfig({
    ...lowMemory,
    name: "pi0_libero_low_mem_finetune",
    model: {
      vlm: { lora: GEMMA_VARIANTS.gemma_2b_lora.lora },
      expert: { lora: GEMMA_VARIANTS.gemma_300m_lora.lora },
    },
    data: { ...libero, deltaActions: [6, -1] },
    weights: "gs://openpi-assets/checkpoints/pi0_base/params",
  }),
  defineConfig({
    name: "pi0_fast_libero",
    model: { pi0Fast: true, actionDim: 7, actionHorizon: 10, maxTokenLen: 180 },
    data: { ...libero, deltaActions: [6, -1] },
    weights: "gs://openpi-assets/checkpoints/pi0_fast_base/params",
  }),
  defineConfig({
    ...lowMemory,
    name: "pi0_fast_libero_low_mem_finetune",
    model: {
      pi0Fast: true,
      actionDim: 7,
      actionHorizon: 10,
      maxTokenLen: 180,
      vlm: { lora: GEMMA_VARIANTS.gemma_2b_lora.lora },
    },
    data: { ...libero, deltaActions: [6, -1] },
    weights: "gs://openpi-assets/checkpoints/pi0_fast_base/params",
  }),
  defineConfig({
    ...pi05Settings,
    name: "pi05_libero",
    // As upstream: without the state in the prompt this model does not see the state at all.
    model: { pi05: true, actionHorizon: 10, discreteStateInput: false },
    data: libero,
  }),
];
