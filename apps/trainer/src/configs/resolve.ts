/**
 * @file From a declared configuration to one that can run: sizes filled in, settings that only make sense
 * for pretrained full-size weights replaced at small sizes, the user's overrides on top, everything checked.
 */
import {
  InsulaError,
  type ModelConfig,
  type ModelSize,
  makeModelConfig,
  SIZE_PRESETS,
} from "@insula/model-types";
import type { LrSchedule } from "../schedule.js";
import { mergeOverrides, type Overrides } from "./overrides.js";
import { checkRunConfig } from "./schema.js";
import type { RunConfig, TrainConfig } from "./types.js";

/**
 * Settings of a run at a size that is trained from scratch. The declared ones fine-tune pretrained weights
 * for tens of thousands of steps; at 200 steps their warm-up would not even end.
 */
const FROM_SCRATCH: Record<Exclude<ModelSize, "full">, { batchSize: number; peakLr: number }> = {
  tiny: { batchSize: 4, peakLr: 3e-3 },
  small: { batchSize: 4, peakLr: 3e-4 },
};

/** Warm-up over 5 % of the run, cosine down to a tenth of the peak at its end. */
export function scaledSchedule(peakLr: number, numTrainSteps: number): LrSchedule {
  return {
    type: "cosine",
    warmupSteps: Math.round(0.05 * numTrainSteps),
    peakLr,
    decaySteps: numTrainSteps,
    decayLr: peakLr / 10,
  };
}

/** At which size, and with what on top. */
export interface Resolution {
  size: ModelSize;
  overrides?: Overrides;
}

/**
 * Resolve `config` at `size`. At tiny and small: random weights, a batch of 4 (or the declared one when that
 * is smaller), images as they are, a schedule over the run's length, at least twenty console lines, and an EMA that looks back over
 * at most a tenth of the run (the declared decay would still hold the random initial weights at the end).
 * @throws InsulaError `config/field` when an override names an unknown field or a value of the wrong kind.
 */
export function resolveConfig(config: TrainConfig, options: Resolution): RunConfig {
  const { size, overrides = {} } = options;
  const base: RunConfig = { ...structuredClone(config), size, model: modelConfig(config.model, size, {}) };
  const merged = (under: RunConfig): Overrides => ({
    ...(mergeOverrides(under, { ...overrides, model: {} }) as Overrides),
    model: modelConfig(config.model, size, overrides["model"] ?? {}),
  });
  // Once against the declared settings, so that a wrong number of steps is an error before it is used.
  const checked = checkRunConfig(merged(base), reference(base));
  if (size === "full") return checked;
  const { batchSize, peakLr } = FROM_SCRATCH[size];
  const steps = checked.numTrainSteps;
  const scratch: RunConfig = {
    ...base,
    weights: null,
    data: { ...base.data, augment: "none" },
    batchSize: Math.min(batchSize, config.batchSize),
    lrSchedule: scaledSchedule(peakLr, steps),
    emaDecay: base.emaDecay === null ? null : Math.min(base.emaDecay, Math.max(0, 1 - 10 / steps)),
    logInterval: Math.min(base.logInterval, Math.max(1, Math.round(steps / 20))),
  };
  return checkRunConfig(merged(scratch), reference(scratch));
}

function modelConfig(declared: Partial<ModelConfig>, size: ModelSize, overrides: unknown): ModelConfig {
  if (typeof overrides !== "object" || overrides === null) {
    throw new InsulaError(
      "config/field",
      `config: model: expected fields, found ${JSON.stringify(overrides)}`,
    );
  }
  const { vlm, expert, siglip } = SIZE_PRESETS[size];
  return makeModelConfig({
    size,
    ...(mergeOverrides({ vlm, expert, siglip, ...declared }, overrides) as Partial<ModelConfig>),
  });
}

/** Field names for suggestions: a schedule of the wrong kind should suggest fields of every kind. */
function reference(config: RunConfig): object {
  return { ...config, lrSchedule: { lr: 0, timescale: 0, ...scaledSchedule(0, 1), ...config.lrSchedule } };
}
