/**
 * @file One sample's way into the model and an action chunk's way out:
 * task → repack → robot → (differences) → normalise → tokens, image size, padding; and back.
 */
import {
  BinningTokenizer,
  FASTTokenizer,
  FSQTokenizer,
  type OverflowOptions,
  PaligemmaTokenizer,
} from "@insula/fast-tokenizer";
import { configModelType, type Sample } from "@insula/model-types";
import {
  absoluteActions,
  compose,
  deltaActions,
  type ModelTransformOptions,
  makeBoolMask,
  modelTransforms,
  type NormStatsMap,
  named,
  normalize,
  promptFromLeRobotTask,
  type Transform,
  unnormalize,
} from "@insula/transforms";
import type { RunConfig } from "../configs/types.js";
import type { RobotSpec } from "./robots.js";
import { overlapAllowed, type Tokenizers } from "./tokenizers.js";

export interface Pipeline {
  /** Dataset sample → the robot's keys, prompt included. */
  repack: Transform;
  /** → model sample. At inference without `actions`: with them, the answer would stand in the text. */
  inputs: Transform;
  /** `{state, actions}` of the model (pi0_fast: of its tokens) → the robot's actions in physical units. */
  outputs: Transform;
  /** The same from normalised actions `[h, d]`, whatever the model type. */
  unnormalized: Transform;
  /** Samples whose tokens were cut so far. */
  truncated(): number;
}

export interface PipelineOptions {
  config: RunConfig;
  spec: RobotSpec;
  stats: NormStatsMap;
  tokenizers: Tokenizers;
  /** `task_index` → instruction. */
  tasks: ReadonlyMap<number, string>;
  /** Refuse samples whose tokens do not fit. Otherwise FAST tokens are cut; a prompt never is. */
  strict?: boolean;
}

/** Build both directions. @throws InsulaError when tokenizers or statistics do not suit the model type. */
export function makePipeline(options: PipelineOptions): Pipeline {
  const { config, spec, stats, tokenizers, tasks, strict = false } = options;
  const { data, model } = config;
  const modelType = configModelType(model);
  let truncated = 0;
  const overflow: OverflowOptions = {
    onOverflow: strict ? "error" : "error-prompt",
    onTruncate: () => void (truncated += 1),
  };
  const mask = data.deltaActions ? makeBoolMask(...data.deltaActions) : undefined;
  const quantiles = { useQuantiles: data.useQuantileNorm };
  const forModel = modelTransforms({
    modelType,
    actionDim: model.actionDim,
    actionHorizon: model.actionHorizon,
    imageSize: model.imageSize,
    discreteStateInput: model.discreteStateInput,
    promptFormat: model.promptFormat,
    ...(data.defaultPrompt === null ? {} : { defaultPrompt: data.defaultPrompt }),
    ...sequenceTokenizers(config, tokenizers, overflow),
  });
  const unnormalized = compose([unnormalize(stats, quantiles), absoluteActions(mask), spec.outputs]);
  return {
    repack: compose([promptTransform(config, tasks), spec.repack]),
    inputs: compose([
      spec.inputs(modelType),
      deltaActions(mask),
      normalize(stats, quantiles),
      ...forModel.inputs,
    ]),
    outputs: compose([...forModel.outputs, unnormalized]),
    unnormalized,
    truncated: () => truncated,
  };
}

/** Task, default prompt, or whatever `prompt` column the dataset has. An empty task counts as none. */
export function promptTransform({ data }: RunConfig, tasks: ReadonlyMap<number, string>): Transform {
  const fromTask = data.promptFromTask ? promptFromLeRobotTask(tasks) : undefined;
  return named("promptTransform", (sample: Sample) => {
    const out = fromTask ? fromTask(sample) : sample;
    const missing = out["prompt"] === undefined || out["prompt"] === "";
    return missing && data.defaultPrompt !== null ? { ...out, prompt: data.defaultPrompt } : out;
  });
}

/** The one tokenizer that the configuration asks for. */
export function sequenceTokenizers(
  { model }: RunConfig,
  tokenizers: Tokenizers,
  overflow: OverflowOptions,
): Pick<ModelTransformOptions, "promptTokenizer" | "fastTokenizer"> {
  const { text, actions } = tokenizers;
  const { maxTokenLen, vocabSize, fastSkipTokens } = model;
  if (!actions) return { promptTokenizer: new PaligemmaTokenizer(maxTokenLen, { text, ...overflow }) };
  const shared = {
    text,
    vocabSize,
    fastSkipTokens,
    allowOverlap: overlapAllowed(tokenizers),
    // Without its terminator a sequence would teach the model not to stop.
    dropCutLoss: true,
    ...overflow,
  };
  if (actions.type === "binning") {
    const bins = actions.codec.vocabSize;
    return { fastTokenizer: new BinningTokenizer(maxTokenLen, { ...shared, bins }) };
  }
  if (actions.type === "fsq") {
    return { fastTokenizer: new FSQTokenizer(maxTokenLen, { ...shared, fsq: actions.codec }) };
  }
  const promptFormat = configModelType(model) === "pi05_ki" ? model.promptFormat : "fast";
  const fast = actions.codec;
  return { fastTokenizer: new FASTTokenizer(maxTokenLen, { ...shared, fast, promptFormat }) };
}
