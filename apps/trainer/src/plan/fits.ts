/**
 * @file What fits a memory: for every part of the model that can be trained, with and without rematerialisation and
 * average, the largest batch in one piece, and the micro-batches in which the run's own batch would fit.
 */
import { type MemoryPlan, planMemory, type TrainPart } from "@insula/ki-model";
import { configModelType, GEMMA_VARIANTS, hasLora, type ModelConfig } from "@insula/model-types";
import { runArtifactOptions } from "../artifact.js";
import type { RunConfig } from "../configs/types.js";
import { memoryNeed } from "./make-plan.js";

/** One way to train and how much of it fits. */
export interface Fit {
  train: TrainPart;
  /** Parameters that are trained. */
  trained: number;
  rematerialize: boolean;
  emaDecay: number | null;
  /** The largest batch in one piece, above 32 to a few in a hundred; 0 when not even one sample fits. */
  largestBatch: number;
  /** The least number of micro-batches in which the run's batch fits; null when it does in none. */
  gradientAccumulation: number | null;
}

/** All ways to train `config` within `deviceMemory` bytes, those of the process included. */
export function whatFits(config: RunConfig, deviceMemory: number): Fit[] {
  return trainParts(config).flatMap((part) =>
    [false, true].flatMap((rematerialize) => {
      const plans = planner(part, rematerialize);
      const averages = config.emaDecay === null ? [null] : [config.emaDecay, null];
      return averages.map((emaDecay): Fit => {
        const need = (plan: MemoryPlan) =>
          memoryNeed(plan).totalBytes - (emaDecay === null ? plan.bytes.ema : 0);
        const fits = (batchSize: number, parts = 1) => need(plans(batchSize, parts)) <= deviceMemory;
        const largestBatch = largest((n) => deviceMemory - need(plans(n, 1)));
        const { trainable } = plans(1, 1);
        return {
          train: part.train,
          trained: trainable.vlm + trainable.expert,
          rematerialize,
          emaDecay,
          largestBatch,
          gradientAccumulation: leastParts(config.batchSize, largestBatch, fits),
        };
      });
    }),
  );
}

/** The configuration for each part that its model has; adapters are openpi's where it has none. */
function trainParts(config: RunConfig): RunConfig[] {
  const adapted = withAdapters(config.model);
  const parts: [TrainPart, ModelConfig][] = [
    ["all", config.model],
    ["lora", adapted],
    ...(configModelType(config.model) === "pi0_fast"
      ? []
      : [["expert", config.model] as [TrainPart, ModelConfig]]),
  ];
  if (!parts.some(([train]) => train === config.train)) parts.push([config.train, config.model]);
  return parts.map(([train, model]) => ({ ...config, train, model }));
}

function withAdapters(model: ModelConfig): ModelConfig {
  const { gemma_2b_lora, gemma_300m_lora } = GEMMA_VARIANTS;
  if (hasLora(model.vlm) || hasLora(model.expert)) return model;
  return {
    ...model,
    vlm: { ...model.vlm, lora: gemma_2b_lora.lora },
    expert: { ...model.expert, lora: gemma_300m_lora.lora },
  };
}

/** Plans of a configuration by batch and micro-batches, each made once. */
function planner(
  config: RunConfig,
  rematerialize: boolean,
): (batchSize: number, parts: number) => MemoryPlan {
  // Shorter texts need less.
  const options = { ...runArtifactOptions(config), tokenBuckets: [] };
  const known = new Map<string, MemoryPlan>();
  return (batchSize, gradientAccumulation) => {
    const key = `${batchSize}/${gradientAccumulation}`;
    const plan =
      known.get(key) ??
      planMemory(config.model, { ...options, batchSize, gradientAccumulation, rematerialize });
    known.set(key, plan);
    return plan;
  };
}

/** Batches up to here are searched one by one; beyond, the line through two of them answers. */
const EXACT = 32;

/** The largest batch that leaves `room`, which falls along a line, nearly: chunks of the arena have their own mind. */
function largest(room: (n: number) => number): number {
  if (room(1) < 0) return 0;
  const along = (a: number, b: number) => {
    const perSample = Math.max((room(a) - room(b)) / (b - a), 1);
    return Math.max(1, Math.floor(b + room(b) / perSample));
  };
  let n = along(1, 8);
  if (n > EXACT) return along(8, EXACT);
  while (n > 1 && room(n) < 0) n--;
  while (n < EXACT && room(n + 1) >= 0) n++;
  return n;
}

/** The least number of micro-batches that `fits`; none of them is larger than the largest batch. */
function leastParts(
  batchSize: number,
  largestBatch: number,
  fits: (batchSize: number, parts: number) => boolean,
): number | null {
  for (let parts = 1; parts <= batchSize; parts++) {
    if (batchSize % parts !== 0 || batchSize / parts > largestBatch) continue;
    if (parts === 1 || fits(batchSize, parts)) return parts;
  }
  return null;
}
