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
 * half of the layers, then in all, which costs a second forward pass of them and changes no number; else with half the
 * batch, and half again, down to one; else without the average of the parameters. When nothing fits, the smallest of
 * all, with `fits` false.
 */
export function choosePlan(config: ModelConfig, options: ChooseOptions): ChosenPlan {
  const { deviceMemory, fixed = [], ...artifact } = options;
  const asked: Choice = {
    batchSize: options.batchSize,
    rematerialize: options.rematerialize ?? false,
    emaDecay: options.optimizer?.emaDecay === undefined ? null : options.optimizer.emaDecay,
  };
  const attempt = (choice: Choice): ChosenPlan => {
    const plan = planMemory(config, {
      ...artifact,
      batchSize: choice.batchSize,
      rematerialize: choice.rematerialize,
      optimizer: { ...artifact.optimizer, emaDecay: choice.emaDecay },
    });
    return { choice, plan, fits: plan.bytes.total <= deviceMemory, changes: changes(asked, choice) };
  };
  let last: ChosenPlan | undefined;
  const half = (depth: number) => Math.ceil(depth / 2);
  const partly = {
    siglip: half(config.siglip.depth),
    vlm: half(config.vlm.depth),
    expert: half(config.expert.depth),
  };
  for (const choice of alternatives(asked, fixed, partly)) {
    last = attempt(choice);
    if (last.fits) break;
  }
  return last!;
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
    // Without the average the whole batch has another chance.
    const first = emaDecay === asked.emaDecay ? Math.floor(asked.batchSize / 2) : asked.batchSize;
    if (!free("batchSize")) {
      if (emaDecay !== asked.emaDecay) choices.push({ ...asked, rematerialize, emaDecay });
      continue;
    }
    for (let batchSize = first; batchSize >= 1; batchSize = Math.floor(batchSize / 2))
      choices.push({ batchSize, rematerialize, emaDecay });
  }
  return choices;
}

function changes(asked: Choice, { batchSize, rematerialize, emaDecay }: Choice): string[] {
  return [
    ...(rematerialize === asked.rematerialize
      ? []
      : [rematerialize === true ? "rematerialisation" : "rematerialisation of half of the layers"]),
    ...(batchSize === asked.batchSize ? [] : [`batch size ${batchSize} instead of ${asked.batchSize}`]),
    ...(emaDecay === asked.emaDecay ? [] : ["no average of the parameters"]),
  ];
}
