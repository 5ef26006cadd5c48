/**
 * @file What a run will need, before it starts: parameters per group, tokens per sample, memory. A run that
 * cannot fit is refused with the numbers instead of being killed an hour later.
 */
import { type MemoryPlan, planMemory, type Rematerialize } from "@insula/ki-model";
import { configModelType, InsulaError, type ModelConfig } from "@insula/model-types";
import { runArtifactOptions } from "../artifact.js";
import type { RunConfig } from "../configs/types.js";
import { type Available, availableMemory } from "./available.js";
import { gigabytes } from "./units.js";

/** Memory of the process that trains: the model's part, and everything around it. */
export interface MemoryNeed {
  /** Parameters, gradients, two moments and the EMA. */
  stateBytes: number;
  /** Values inside of the graphs, logits included. */
  activationBytes: number;
  /** The process itself, ONNX Runtime and the data pipeline, or on a GPU its libraries' working memory. */
  baseBytes: number;
  totalBytes: number;
}

export interface Plan {
  params: { vlm: number; expert: number };
  /** How many of them are trained. */
  trainable: { vlm: number; expert: number };
  /** Per sample: image tokens of the cameras that are in the graph, text buffer, expert tokens. */
  tokens: { image: number; text: number; expert: number };
  /** The layers that are computed again in the backward pass. */
  rematerialize: Rematerialize;
  memory: MemoryNeed;
  /** The parts of `memory`, and operations per step. */
  model: MemoryPlan;
  /** The same run with no layer computed again, and with all. */
  kept: MemoryPlan;
  again: MemoryPlan;
}

/** Node, ONNX Runtime and decoded batches: processes at size tiny peak this far above their graphs. */
export const BASE_BYTES: number = 600e6;

/** A plan's memory as the process sees it. */
export function memoryNeed({ bytes }: MemoryPlan): MemoryNeed {
  const stateBytes = bytes.parameters + bytes.gradients + bytes.moments + bytes.ema;
  const activationBytes = bytes.total - stateBytes;
  return {
    stateBytes,
    activationBytes,
    baseBytes: BASE_BYTES,
    totalBytes: bytes.total + BASE_BYTES,
  };
}

/**
 * Count what `config` needs with `cameras` camera images per sample in the graph. Rematerialisation `auto` becomes the
 * least that fits: none, half of the layers, all.
 */
export function makePlan(config: RunConfig, cameras: number, available: Available = availableMemory()): Plan {
  const { model } = config;
  const options = { ...runArtifactOptions(config), imageKeys: model.imageKeys.slice(0, cameras) };
  const count = (rematerialize: Rematerialize) => planMemory(model, { ...options, rematerialize });
  const [kept, again] = [count(false), count(true)];
  const fits = (plan: MemoryPlan) => memoryNeed(plan).totalBytes <= available.free;
  const half = (depth: number) => Math.ceil(depth / 2);
  let chosen: { rematerialize: Rematerialize; plan: MemoryPlan } = { rematerialize: true, plan: again };
  if (config.rematerialize !== "auto") {
    chosen = { rematerialize: config.rematerialize, plan: count(config.rematerialize) };
  } else if (fits(kept)) {
    chosen = { rematerialize: false, plan: kept };
  } else if (fits(again)) {
    const { siglip, vlm, expert } = model;
    const rematerialize = { siglip: half(siglip.depth), vlm: half(vlm.depth), expert: half(expert.depth) };
    const plan = count(rematerialize);
    if (fits(plan)) chosen = { rematerialize, plan };
  }
  const { rematerialize, plan } = chosen;
  return {
    params: plan.params,
    trainable: plan.trainable,
    tokens: {
      image: cameras * (model.imageSize / model.siglip.patchSize) ** 2,
      text: model.maxTokenLen,
      expert: expertTokens(model),
    },
    rematerialize,
    memory: memoryNeed(plan),
    model: plan,
    kept,
    again,
  };
}

/**
 * Check that the plan fits into memory.
 * @throws InsulaError `plan/memory` with what is needed, what there is and what would help.
 */
export function assertFits(plan: Plan, config: RunConfig, available: Available = availableMemory()): void {
  const { stateBytes, activationBytes, totalBytes } = plan.memory;
  if (totalBytes <= available.free) return;
  throw new InsulaError(
    "plan/memory",
    `this run needs about ${gigabytes(totalBytes)} (${gigabytes(stateBytes)} parameters, gradients and moments, ` +
      `${gigabytes(activationBytes)} activations at batch size ${config.batchSize}); ` +
      `${gigabytes(available.free)} of ${gigabytes(available.total)} are free. ${remedy(plan, config, available)}`,
  );
}

/** What would fit: a smaller batch, which is tried, or a smaller model. */
function remedy({ rematerialize, memory }: Plan, config: RunConfig, { free }: Available): string {
  const need = (batchSize: number) =>
    memoryNeed(planMemory(config.model, { ...runArtifactOptions(config), batchSize, rematerialize }))
      .totalBytes;
  const one = need(1);
  if (one <= free && config.batchSize > 1) {
    // Memory grows along a line, nearly: chunks of the arena have their own mind.
    const perSample = (memory.totalBytes - one) / (config.batchSize - 1);
    let batchSize = Math.max(1, Math.floor(1 + (free - one) / perSample));
    while (batchSize > 1 && need(batchSize) > free) batchSize--;
    while (batchSize + 1 < config.batchSize && need(batchSize + 1) <= free) batchSize++;
    return `--batch-size ${batchSize} would fit`;
  }
  return config.size === "tiny"
    ? "free some memory"
    : `--size ${config.size === "full" ? "small" : "tiny"} needs less`;
}

function expertTokens(model: ModelConfig): number {
  const type = configModelType(model);
  if (type === "pi0_fast") return 0;
  // pi0 has a state token before the actions.
  return model.actionHorizon + (type === "pi0" ? 1 : 0);
}
