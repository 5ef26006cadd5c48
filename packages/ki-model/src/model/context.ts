/**
 * @file What every part of the model is built with: the graph, the configuration, the parameters by name, and
 * taps, the inner values that a debug build turns into outputs.
 */
import type { ModelConfig } from "@insula/model-types";
import { createGraph, type Graph, input, type Value } from "@insula/onnx-grad";
import { type ParamSpec, paramSpecs } from "../params/spec.js";

/** One model under construction. A parameter that several of its parts ask for is one graph input. */
export interface ModelContext {
  readonly graph: Graph;
  readonly config: ModelConfig;
  readonly batchSize: number;
  /** Cameras that the graph sees, in token order. */
  readonly imageKeys: readonly string[];
  readonly specs: readonly ParamSpec[];
  /** The parameter of that path, of that layer where it is stacked; a graph input, declared on first use. */
  param(path: string, layer?: number): Value;
  /** Name an inner value for inspection. Costs nothing unless it is made an output. */
  tap(name: string, value: Value): Value;
  readonly taps: ReadonlyMap<string, Value>;
}

/** A context over an empty graph. */
export function createModelContext(
  config: ModelConfig,
  { batchSize, imageKeys = config.imageKeys }: { batchSize: number; imageKeys?: readonly string[] },
): ModelContext {
  const graph = createGraph();
  const specs = paramSpecs(config);
  const byName = new Map(specs.map((s) => [s.name, s]));
  const declared = new Map<string, Value>();
  const taps = new Map<string, Value>();
  return {
    graph,
    config,
    batchSize,
    imageKeys,
    specs,
    taps,
    param(path, layer) {
      const name = layer === undefined ? path : `${path}/${layer}`;
      let value = declared.get(name);
      if (!value) {
        value = input(graph, name, "float32", byName.get(name)!.shape);
        declared.set(name, value);
      }
      return value;
    },
    tap(name, value) {
      taps.set(name, value);
      return value;
    },
  };
}
