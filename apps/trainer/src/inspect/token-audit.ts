/**
 * @file What tokenisation does to a dataset, before training finds out: how long sequences are, how many are cut,
 * what quantisation costs in each action dimension.
 */
import { configModelType, InsulaError, type NdArray } from "@insula/model-types";
import { absoluteActions, compose, makeBoolMask, unnormalize } from "@insula/transforms";
import {
  type Bin,
  count,
  type Distribution,
  emptyDistribution,
  histogram,
  type Summary,
  summarize,
} from "./distribution.js";
import { fastTargets } from "./fast-targets.js";
import { type TokenizedFrame, tokenizedFrames } from "./frames.js";
import type { TokenSource } from "./source.js";
import { type TokenRow, tokenTable } from "./token-table.js";

/** Error of one action dimension through the action tokenizer and back, in the robot's units. */
export interface QuantizationError {
  name: string;
  rmse: number;
  max: number;
}

export interface TokenAudit {
  config: string;
  modelType: string;
  dataset: string;
  episodes: number;
  /** Frames there are, and frames looked at. */
  frames: number;
  samples: number;
  maxTokenLen: number;
  /** Tokens before any cut: all, of the prompt, of the causal part. */
  length: Summary;
  promptTokens: Summary;
  causalTokens: Summary;
  histogram: Bin[];
  /** Samples longer than `maxTokenLen`; of these, such whose prompt fills the row alone. */
  cut: number;
  cutPrompts: number;
  /** Largest number of FAST targets in a sample: a bound for the graph's `lossRows` if all frames were looked at. */
  maxFastTargets: number;
  /** Samples that the tokenizer refuses, and why the first. */
  refused: { count: number; first?: string };
  /** Per action dimension; empty for model types without action tokens. */
  quantization: QuantizationError[];
  /** One sample, token by token. */
  example?: { episode: number; frame: number; prompt: string; tokens: TokenRow[] };
}

export interface AuditOptions {
  /** Frames to look at, spread evenly. Default: all. */
  limit?: number;
  /** Which of them to show token by token. Default: the first. */
  example?: number;
}

/** Tokenise the source's episodes and count. @throws InsulaError as {@link tokenizedFrames}. */
export async function auditTokens(source: TokenSource, options: AuditOptions = {}): Promise<TokenAudit> {
  const { config, dataset, spec, tokenizers } = source;
  const { model } = config;
  const [length, prompts, causal] = [emptyDistribution(), emptyDistribution(), emptyDistribution()];
  const errors = tokenizers.actions ? quantizationErrors(source) : undefined;
  const refused: TokenAudit["refused"] = { count: 0 };
  const found = { samples: 0, cut: 0, cutPrompts: 0, maxFastTargets: 0 };
  let example: TokenAudit["example"];
  for await (const sample of tokenizedFrames(source, options.limit)) {
    const { tokens, episode, frame, prompt } = sample;
    const isExample = found.samples++ === (options.example ?? 0);
    if (tokens instanceof InsulaError) {
      refused.count++;
      refused.first ??= `episode ${episode}, frame ${frame}: ${tokens.message}`;
      continue;
    }
    countLengths(tokens, length, prompts, causal);
    if (tokens.truncated) {
      found.cut++;
      if (tokens.promptTokens === model.maxTokenLen) found.cutPrompts++;
    }
    if ("lossMask" in tokens) {
      found.maxFastTargets = Math.max(found.maxFastTargets, fastTargets(tokens.lossMask));
    }
    errors?.add(sample);
    if (isExample) {
      const rows = tokenTable(tokens, { tokenizers, model, dim: spec.actionDim });
      example = { episode, frame, prompt, tokens: rows };
    }
  }
  const chosen = new Set(source.episodes);
  return {
    config: config.name,
    modelType: configModelType(model),
    dataset: dataset.root,
    episodes: chosen.size,
    frames: dataset.episodes.reduce((sum, e) => sum + (chosen.has(e.index) ? e.length : 0), 0),
    ...found,
    maxTokenLen: model.maxTokenLen,
    length: summarize(length),
    promptTokens: summarize(prompts),
    causalTokens: summarize(causal),
    histogram: histogram(length),
    refused,
    quantization: errors?.result() ?? [],
    ...(example ? { example } : {}),
  };
}

function countLengths(
  tokens: Exclude<TokenizedFrame["tokens"], InsulaError>,
  length: Distribution,
  prompts: Distribution,
  causal: Distribution,
): void {
  count(length, tokens.length);
  count(prompts, tokens.promptTokens);
  count(causal, tokens.length - tokens.promptTokens);
}

/** Encode and decode each chunk, bring both to the robot's units, compare. */
function quantizationErrors({ config, spec, stats, tokenizers }: TokenSource): {
  add(sample: TokenizedFrame): void;
  result(): QuantizationError[];
} {
  const { codec } = tokenizers.actions!;
  const { deltaActions, useQuantileNorm: useQuantiles } = config.data;
  const mask = deltaActions ? makeBoolMask(...deltaActions) : undefined;
  const toRobot = compose([unnormalize(stats, { useQuantiles }), absoluteActions(mask), spec.outputs]);
  const dim = spec.actionDim;
  const squares = new Float64Array(dim);
  const max = new Float64Array(dim);
  let rows = 0;
  return {
    add({ state, actions }) {
      const [horizon] = actions.shape as [number, number];
      const decoded = codec.decode(codec.encode(actions), { horizon, dim }).actions;
      const [before, after] = [actions, decoded].map(
        (x) => (toRobot({ state, actions: x })["actions"] as NdArray).data,
      ) as [Float64Array, Float64Array];
      for (let i = 0; i < before.length; i++) {
        const error = Math.abs(before[i]! - after[i]!);
        squares[i % dim]! += error * error;
        if (error > max[i % dim]!) max[i % dim] = error;
      }
      rows += horizon;
    },
    result: () =>
      spec.actionNames.map((name, d) => ({ name, rmse: Math.sqrt(squares[d]! / rows), max: max[d]! })),
  };
}
