/**
 * @file What a run will need, before it starts: parameters per group, tokens per sample, memory. A run that
 * cannot fit is refused with the numbers instead of being killed an hour later.
 */
import { freemem, totalmem } from "node:os";
import { countParams, paramSpecs } from "@insula/ki-model";
import { configModelType, InsulaError, type ModelConfig } from "@insula/model-types";
import type { RunConfig } from "./configs/types.js";

export interface MemoryNeed {
  /** Parameters, gradients, two moments and the EMA, float32. */
  stateBytes: number;
  /** What the backward pass keeps of the forward one, logits included. An estimate. */
  activationBytes: number;
  /** The process itself, ONNX Runtime and the data pipeline. */
  baseBytes: number;
  totalBytes: number;
}

export interface Plan {
  params: { vlm: number; expert: number };
  /** Per sample: image tokens of the cameras that are in the graph, text buffer, expert tokens. */
  tokens: { image: number; text: number; expert: number };
  memory: MemoryNeed;
}

/**
 * What ONNX Runtime's memory arena takes over what the tensors themselves need. Measured peaks of whole
 * processes, against 0.6 GB + state + 1.6 · activations: tiny 0.84 GB, small 3.98 GB (batch 4).
 */
const ARENA = 1.6;

/** Memory that this process may still use, in bytes: free on the machine and, in a container, within its limit. */
export function availableMemory(): { free: number; total: number } {
  const { constrainedMemory, memoryUsage } = process as NodeJS.Process & { constrainedMemory?: () => number };
  const limit = constrainedMemory?.() ?? 0;
  // Without a limit Node reports 0 or a number beyond the machine's memory.
  if (limit > 0 && limit < totalmem()) {
    return { free: Math.min(freemem(), limit - memoryUsage.rss()), total: limit };
  }
  return { free: freemem(), total: totalmem() };
}

/** Count what `config` needs with `cameras` camera images per sample in the graph. */
export function makePlan(config: RunConfig, cameras: number): Plan {
  const { model, batchSize } = config;
  const params = countParams(paramSpecs(model));
  const tokens = {
    image: cameras * (model.imageSize / model.siglip.patchSize) ** 2,
    text: model.maxTokenLen,
    expert: expertTokens(model),
  };
  const copies = 4 + (config.emaDecay === null ? 0 : 1);
  const stateBytes = 4 * copies * (params.vlm + params.expert);
  const activationBytes = ARENA * 4 * batchSize * activationFloats(model, cameras, tokens);
  const baseBytes = 600e6;
  return {
    params,
    tokens,
    memory: { stateBytes, activationBytes, baseBytes, totalBytes: stateBytes + activationBytes + baseBytes },
  };
}

/**
 * Check that the plan fits into host memory.
 * @throws InsulaError `plan/memory` with what is needed, what there is and what would help.
 */
export function assertFits(
  plan: Plan,
  config: RunConfig,
  available: { free: number; total: number } = availableMemory(),
): void {
  const { stateBytes, activationBytes, baseBytes, totalBytes } = plan.memory;
  if (totalBytes <= available.free) return;
  const perSample = activationBytes / config.batchSize;
  const fitting = Math.floor((available.free - stateBytes - baseBytes) / perSample);
  const remedy =
    fitting >= 1
      ? `--batch-size ${fitting} would fit`
      : config.size === "tiny"
        ? "free some memory"
        : `--size ${config.size === "full" ? "small" : "tiny"} needs less`;
  throw new InsulaError(
    "plan/memory",
    `this run needs about ${gigabytes(totalBytes)} (${gigabytes(stateBytes)} parameters, gradients and moments, ` +
      `${gigabytes(activationBytes)} activations at batch size ${config.batchSize}); ` +
      `${gigabytes(available.free)} of ${gigabytes(available.total)} are free. ${remedy}`,
  );
}

/** The plan as lines for the console. */
export function planLines(
  plan: Plan,
  config: RunConfig,
  available: { free: number; total: number } = availableMemory(),
): string[] {
  const { params, tokens, memory } = plan;
  const total = params.vlm + params.expert;
  const sum = tokens.image + tokens.text + tokens.expert;
  return [
    `parameters  ${count(total)} = ${count(params.vlm)} vlm + ${count(params.expert)} expert, all float32 and trained`,
    `tokens      ${sum} per sample = ${tokens.image} image + ${tokens.text} text + ${tokens.expert} action`,
    `steps       ${config.numTrainSteps} of ${config.batchSize} samples, ${scheduleText(config)}` +
      `${config.emaDecay === null ? "" : `, EMA ${config.emaDecay}`}, seed ${config.seed}`,
    `memory      about ${gigabytes(memory.totalBytes)} (${gigabytes(memory.stateBytes)} state, ` +
      `${gigabytes(memory.activationBytes)} activations) of ${gigabytes(available.free)} free, ${gigabytes(available.total)} in all`,
  ];
}

function scheduleText({ lrSchedule: s }: RunConfig): string {
  if (s.type === "constant") return `lr ${short(s.lr)}`;
  const tail =
    s.type === "cosine" ? `cosine to ${short(s.decayLr)} at ${s.decaySteps}` : `rsqrt over ${s.timescale}`;
  return `lr ${short(s.peakLr)} after ${s.warmupSteps} steps, ${tail}`;
}

const short = (lr: number): string => String(Number(lr.toPrecision(3)));

function expertTokens(model: ModelConfig): number {
  const type = configModelType(model);
  if (type === "pi0_fast") return 0;
  // pi0 has a state token before the actions.
  return model.actionHorizon + (type === "pi0" ? 1 : 0);
}

/**
 * Floats that one sample's forward pass leaves for the backward pass. Per token of a transformer layer:
 * norms, q, k, v, attention output and residuals come to about ten widths, a gated feed-forward keeps five
 * times its inner width (SigLIP's plain one: three), attention its scores and probabilities.
 */
function activationFloats(model: ModelConfig, cameras: number, tokens: Plan["tokens"]): number {
  const { vlm, expert, siglip } = model;
  const prefix = tokens.image + tokens.text;
  const patches = tokens.image / Math.max(cameras, 1);
  const layer = (rows: number, width: number, inner: number, heads: number, keys: number) =>
    rows * (10 * width + inner + 2 * heads * keys);
  const vision =
    cameras * siglip.depth * layer(patches, siglip.width, 3 * siglip.mlpDim, siglip.numHeads, patches);
  const language = vlm.depth * layer(prefix, vlm.width, 5 * vlm.mlpDim, vlm.numHeads, prefix);
  const actions =
    expert.depth *
    layer(tokens.expert, expert.width, 5 * expert.mlpDim, expert.numHeads, prefix + tokens.expert);
  const hasLogits = model.knowledgeInsulation || model.pi0Fast;
  const logits = hasLogits ? 3 * tokens.text * model.vocabSize : 0;
  return vision + language + actions + logits;
}

/** `0.62 M`, `3.35 G`. */
export function count(n: number): string {
  if (n >= 1e9) return `${(n / 1e9).toFixed(2)} G`;
  return n >= 1e4 ? `${(n / 1e6).toFixed(2)} M` : String(n);
}

/** Decimal gigabytes, `0.62 GB`. */
export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(bytes < 1e10 ? 2 : 1)} GB`;
}
