/**
 * @file The set-up that fits a memory: what costs nothing is tried first, what changes the training last.
 */
import type { ModelConfig } from "@insula/model-types";
import type { ArtifactOptions } from "../artifact.js";
import type { Rematerialize } from "../model/rematerialize.js";
import { type MemoryPlan, planMemory } from "./memory.js";

/** The options that a plan may change. */
export interface Choice {
  batchSize: number;
  /** Micro-batches of a step. */
  gradientAccumulation: number;
  rematerialize: Rematerialize;
  emaDecay: number | null;
}

/** A choice and what it needs. */
export interface ChosenPlan {
  choice: Choice;
  plan: MemoryPlan;
  fits: boolean;
  /** What was given up, in words, in the order in which it was. */
  changes: readonly string[];
}

export interface ChooseOptions extends ArtifactOptions {
  /** Bytes that parameters, gradients, moments and activations may take together. */
  deviceMemory: number;
  /** Choices that may not change. */
  fixed?: readonly (keyof Choice)[];
}

/**
 * Choose how to train within `deviceMemory`: as asked, without rematerialisation (unless asked for); else with it in
 * half of the layers, then in all, which costs a second forward pass of them and changes no number; else the same batch
 * in more and smaller micro-batches, which changes the sums' rounding and no more; else without the average of the
 * parameters, in as few micro-batches as that takes. Where accumulation is fixed, half the batch instead, and half
 * again, down to the micro-batches' number: that is another training. When nothing fits, the smallest of all, with
 * `fits` false.
 */
export function choosePlan(config: ModelConfig, options: ChooseOptions): ChosenPlan {
  const { deviceMemory, fixed = [], ...artifact } = options;
  const asked: Choice = {
    batchSize: options.batchSize,
    gradientAccumulation: options.gradientAccumulation ?? 1,
    rematerialize: options.rematerialize ?? false,
    emaDecay: options.optimizer?.emaDecay === undefined ? null : options.optimizer.emaDecay,
  };
  const attempt = (choice: Choice): ChosenPlan => {
    const { batchSize, gradientAccumulation, rematerialize, emaDecay } = choice;
    const plan = planMemory(config, {
      ...artifact,
      batchSize,
      gradientAccumulation,
      rematerialize,
      optimizer: { ...artifact.optimizer, emaDecay },
    });
    return { choice, plan, fits: plan.bytes.total <= deviceMemory, changes: changes(asked, choice) };
  };
  let last: ChosenPlan | undefined;
  for (const choice of alternatives(asked, fixed, halfOfLayers(config))) {
    last = attempt(choice);
    if (last.fits) break;
  }
  return last!;
}

/** The first half of the layers of every stack. */
export function halfOfLayers({ siglip, vlm, expert }: ModelConfig): Rematerialize {
  const half = (depth: number) => Math.ceil(depth / 2);
  return { siglip: half(siglip.depth), vlm: half(vlm.depth), expert: half(expert.depth) };
}

/** All choices, in the order of preference. */
export function alternatives(
  asked: Choice,
  fixed: readonly (keyof Choice)[] = [],
  partly?: Rematerialize,
): Choice[] {
  const free = (key: keyof Choice) => !fixed.includes(key);
  const choices = [asked];
  const rematerialize = free("rematerialize") ? true : asked.rematerialize;
  if (asked.rematerialize === false && free("rematerialize") && partly)
    choices.push({ ...asked, rematerialize: partly });
  if (rematerialize !== asked.rematerialize) choices.push({ ...asked, rematerialize });
  const averages = asked.emaDecay !== null && free("emaDecay") ? [asked.emaDecay, null] : [asked.emaDecay];
  for (const emaDecay of averages) {
    const [whole, ...smaller] = micro(asked, free).map((size) => ({
      ...asked,
      ...size,
      rematerialize,
      emaDecay,
    }));
    // Without the average the whole batch has another chance.
    choices.push(...(emaDecay === asked.emaDecay ? smaller : [whole!, ...smaller]));
  }
  return choices;
}

type Sizes = Pick<Choice, "batchSize" | "gradientAccumulation">;

/** The batch in ever smaller micro-batches, as asked first. */
function micro(asked: Choice, free: (key: keyof Choice) => boolean): Sizes[] {
  const { batchSize, gradientAccumulation } = asked;
  if (free("gradientAccumulation")) {
    return Array.from({ length: batchSize }, (_, i) => i + 1)
      .filter((parts) => batchSize % parts === 0 && parts >= gradientAccumulation)
      .map((parts) => ({ batchSize, gradientAccumulation: parts }));
  }
  const sizes: Sizes[] = [];
  const least = free("batchSize") ? 1 : batchSize / gradientAccumulation;
  for (let rows = batchSize / gradientAccumulation; rows >= least; rows = Math.floor(rows / 2))
    sizes.push({ batchSize: rows * gradientAccumulation, gradientAccumulation });
  return sizes;
}

function changes(
  asked: Choice,
  { batchSize, gradientAccumulation, rematerialize, emaDecay }: Choice,
): string[] {
  return [
    ...(rematerialize === asked.rematerialize
      ? []
      : [rematerialize === true ? "rematerialisation" : "rematerialisation of half of the layers"]),
    ...(gradientAccumulation === asked.gradientAccumulation
      ? []
      : [
          `micro-batches of ${batchSize / gradientAccumulation} (gradientAccumulation ${gradientAccumulation})`,
        ]),
    ...(batchSize === asked.batchSize ? [] : [`batch size ${batchSize} instead of ${asked.batchSize}`]),
    ...(emaDecay === asked.emaDecay ? [] : ["no average of the parameters"]),
  ];
}
