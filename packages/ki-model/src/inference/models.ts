/**
 * @file Inference graphs: the prefix once, then the expert at every Euler step against the cached keys and
 * values (openpi `models/pi0.py` `sample_actions`). FAST tokens play no part.
 */
import { configModelType, type ModelConfig } from "@insula/model-types";
import { input, type SerializedModel, serialize, type Value } from "@insula/onnx-grad";
import { createModelContext, type ModelContext, type PrecisionOptions } from "../model/context.js";
import { embedPrefix, prefixGeometry, runPrefix, textInputs } from "../model/prefix.js";
import { embedSuffix, runSuffix, suffixGeometry, velocity } from "../model/suffix.js";

/** The shapes of inference graphs that the configuration leaves open; they are static. */
export interface InferenceOptions extends PrecisionOptions {
  batchSize: number;
  /** Cameras in the graph, in token order; default all of the configuration. */
  imageKeys?: readonly string[];
}

/** A built graph: what it was made with, and its outputs. */
export interface BuiltModel {
  context: ModelContext;
  outputs: Map<string, Value>;
}

/**
 * `prefix_model`: images and text → `kv_k/i` (float32), `kv_v/i` (compute type) `[b, s, kv, h]` and `prefix_mask` bool
 * `[b, s]`.
 */
export function buildPrefixModel(config: ModelConfig, options: InferenceOptions): BuiltModel {
  const context = createModelContext(config, options);
  const prefix = embedPrefix(context, textInputs(context, false));
  const geometry = prefixGeometry(prefix);
  const { layers } = runPrefix(context, prefix.embed, geometry);
  const outputs = new Map<string, Value>([["prefix_mask", prefix.valid]]);
  layers.forEach(({ k, v }, i) => {
    outputs.set(`kv_k/${i}`, k);
    outputs.set(`kv_v/${i}`, v);
  });
  return { context, outputs };
}

/** `denoise_model`: `x_t [b, h, d]`, `time [b]`, the cache (and in pi0 `state`) → `v_t [b, h, d]`. */
export function buildDenoiseModel(config: ModelConfig, options: InferenceOptions): BuiltModel {
  const context = createModelContext(config, options);
  const { graph, batchSize: b, imageKeys } = context;
  const { depth, numKvHeads, headDim } = config.vlm;
  const patches = (config.imageSize / config.siglip.patchSize) ** 2;
  const s = imageKeys.length * patches + config.maxTokenLen;
  const xT = input(graph, "x_t", "float32", [b, config.actionHorizon, config.actionDim]);
  const time = input(graph, "time", "float32", [b]);
  const state =
    configModelType(config) === "pi0" ? input(graph, "state", "float32", [b, config.actionDim]) : undefined;
  const promptValid = input(graph, "prefix_mask", "bool", [b, s]);
  const layers = Array.from({ length: depth }, (_, i) => ({
    k: input(graph, `kv_k/${i}`, "float32", [b, s, numKvHeads, headDim]),
    v: input(graph, `kv_v/${i}`, context.computeType, [b, s, numKvHeads, headDim]),
  }));
  const suffix = embedSuffix(context, { xT, time, ...(state ? { state } : {}) });
  const { hidden } = runSuffix(context, suffix, layers, suffixGeometry(promptValid, suffix));
  return { context, outputs: new Map([["v_t", velocity(context, hidden)]]) };
}

/** Serialise a built model under its name. */
export function serializeModel({ context, outputs }: BuiltModel, name: string): SerializedModel {
  return serialize(context.graph, outputs, { name });
}
