/**
 * @file What every part of the model is built with: the graph, the configuration, the parameters by name, and
 * taps, the inner values that a debug build turns into outputs.
 */
import type { ModelConfig } from "@insula/model-types";
import { cast, createGraph, type DType, type Graph, input, type Value } from "@insula/onnx-grad";
import { frozenPaths } from "../params/freeze.js";
import { type ParamSpec, paramSpecs } from "../params/spec.js";

/**
 * Element types to compute with. Parameters that are trained, norms, softmax, rotary positions, projections in and out,
 * logits and losses are float32 in every case (openpi's `embed_dtype`); the 16-bit ones are for CUDA.
 */
export type ComputeType = "float32" | "bfloat16" | "float16";

/** How a graph stores and computes. */
export interface PrecisionOptions {
  /** Default float32. */
  computeType?: ComputeType;
  /** Parameters that are not trained: regular expressions for whole paths; default none. */
  freeze?: readonly string[];
  /** Element type in which frozen parameters are stored; default bfloat16, as openpi stores them. */
  frozenType?: "bfloat16" | "float32";
}

/** One model under construction. A parameter that several of its parts ask for is one graph input. */
export interface ModelContext {
  readonly graph: Graph;
  readonly config: ModelConfig;
  readonly batchSize: number;
  /** Cameras that the graph sees, in token order. */
  readonly imageKeys: readonly string[];
  readonly specs: readonly ParamSpec[];
  /** Whether the parameter of that path is not trained. */
  frozen(path: string): boolean;
  /** Element type of the activations inside the transformer blocks and of their products. */
  readonly computeType: ComputeType;
  /** The parameter of that path, of that layer where it is stacked; a graph input, declared on first use. */
  param(path: string, layer?: number): Value;
  /** The parameter as `dtype`, default float32. */
  weight(path: string, layer?: number, dtype?: DType): Value;
  /** Name an inner value for inspection. Costs nothing unless it is made an output. */
  tap(name: string, value: Value): Value;
  readonly taps: ReadonlyMap<string, Value>;
}

/** A context over an empty graph. */
export function createModelContext(
  config: ModelConfig,
  {
    batchSize,
    imageKeys = config.imageKeys,
    computeType = "float32",
    freeze,
    frozenType = "bfloat16",
  }: { batchSize: number; imageKeys?: readonly string[] } & PrecisionOptions,
): ModelContext {
  const graph = createGraph();
  const specs = paramSpecs(config);
  const frozen = frozenPaths(specs, freeze);
  const byName = new Map(specs.map((s) => [s.name, s]));
  const declared = new Map<string, Value>();
  const taps = new Map<string, Value>();
  const param = (path: string, layer?: number): Value => {
    const name = layer === undefined ? path : `${path}/${layer}`;
    let value = declared.get(name);
    if (!value) {
      value = input(graph, name, frozen(path) ? frozenType : "float32", byName.get(name)!.shape);
      declared.set(name, value);
    }
    return value;
  };
  return {
    graph,
    config,
    batchSize,
    imageKeys,
    specs,
    taps,
    computeType,
    frozen,
    param,
    weight: (path, layer, dtype = "float32") => cast(param(path, layer), dtype),
    tap(name, value) {
      taps.set(name, value);
      return value;
    },
  };
}
