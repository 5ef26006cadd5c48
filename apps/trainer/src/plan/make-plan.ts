/**
 * @file What a run will need, before it starts: parameters per group, tokens per sample, memory. A run that
 * cannot fit is refused with the numbers instead of being killed an hour later.
 */
import {
  type ArtifactOptions,
  halfOfLayers,
  type MemoryPlan,
  planMemory,
  type Rematerialize,
} from "@insula/ki-model";
import { configModelType, InsulaError, type ModelConfig } from "@insula/model-types";
import { runArtifactOptions } from "../artifact.js";
import type { RunConfig } from "../configs/types.js";
import { type Available, availableMemory } from "./available.js";
import type { LongestText } from "./longest-text.js";
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
  /** Per sample: image tokens of the cameras that are in the graph, text, expert tokens. */
  tokens: { image: number; text: number; expert: number };
  /** What `tokens.text` was read off; absent: the whole buffer was planned for. */
  longestText?: LongestText;
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
 * Count what `config` needs with `cameras` camera images per sample in the graph, and with text up to the bucket of the
 * longest one, where that is known. Rematerialisation `auto` becomes the least that fits: none, half of the layers, all.
 */
export function makePlan(
  config: RunConfig,
  cameras: number,
  available: Available = availableMemory(),
  longest?: LongestText,
): Plan {
  const all = { ...runArtifactOptions(config), imageKeys: config.model.imageKeys.slice(0, cameras) };
  const { model, options } = upTo(longest?.length, config.model, all);
  const count = (rematerialize: Rematerialize) => planMemory(model, { ...options, rematerialize });
  const [kept, again] = [count(false), count(true)];
  const fits = (plan: MemoryPlan) => memoryNeed(plan).totalBytes <= available.free;
  let chosen: { rematerialize: Rematerialize; plan: MemoryPlan } = { rematerialize: true, plan: again };
  if (config.rematerialize !== "auto") {
    chosen = { rematerialize: config.rematerialize, plan: count(config.rematerialize) };
  } else if (fits(kept)) {
    chosen = { rematerialize: false, plan: kept };
  } else if (fits(again)) {
    const rematerialize = halfOfLayers(model);
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
    ...(longest ? { longestText: longest } : {}),
    rematerialize,
    memory: memoryNeed(plan),
    model: plan,
    kept,
    again,
  };
}

/** The model and options of a run whose texts have at most `length` tokens: longer buckets are never opened. */
function upTo(length: number | undefined, model: ModelConfig, options: ArtifactOptions) {
  const { tokenBuckets = [], lossRows } = options;
  const bucket = length === undefined ? undefined : tokenBuckets.find((bucket) => bucket >= length);
  if (bucket === undefined) return { model, options };
  return {
    model: { ...model, maxTokenLen: bucket },
    options: {
      ...options,
      tokenBuckets: tokenBuckets.filter((shorter) => shorter < bucket),
      ...(lossRows === undefined ? {} : { lossRows: Math.min(lossRows, bucket - 1) }),
    },
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
      `${gigabytes(activationBytes)} activations at ${batchText(config)}); ` +
      `${gigabytes(available.free)} of ${gigabytes(available.total)} are free. ${remedy(plan, config, available)}`,
  );
}

const batchText = ({ batchSize, gradientAccumulation: parts }: RunConfig): string =>
  parts === 1 ? `batch size ${batchSize}` : `micro-batches of ${batchSize / parts}`;

/** What would fit, tried: the same batch in more micro-batches, a batch of one, or else a smaller model. */
function remedy({ rematerialize }: Plan, config: RunConfig, { free }: Available): string {
  const options = { ...runArtifactOptions(config), rematerialize };
  const fits = (sizes: { batchSize?: number; gradientAccumulation: number }) =>
    memoryNeed(planMemory(config.model, { ...options, ...sizes })).totalBytes <= free;
  const pieces = morePieces(config);
  const most = pieces.at(-1);
  if (most !== undefined && fits({ gradientAccumulation: most })) {
    const least = pieces.find((gradientAccumulation) => fits({ gradientAccumulation }));
    return `--set gradientAccumulation=${least} would fit and trains the same`;
  }
  if (config.batchSize > 1 && fits({ batchSize: 1, gradientAccumulation: 1 }))
    return "--batch-size 1 would fit";
  return config.size === "tiny"
    ? "free some memory"
    : `--size ${config.size === "full" ? "small" : "tiny"} needs less`;
}

/** Numbers of equal micro-batches above the present one. */
function morePieces({ batchSize, gradientAccumulation }: RunConfig): number[] {
  const numbers = Array.from({ length: batchSize }, (_, i) => i + 1);
  return numbers.filter((n) => batchSize % n === 0 && n > gradientAccumulation);
}

function expertTokens(model: ModelConfig): number {
  const type = configModelType(model);
  if (type === "pi0_fast") return 0;
  // pi0 has a state token before the actions.
  return model.actionHorizon + (type === "pi0" ? 1 : 0);
}
