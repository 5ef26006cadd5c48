/**
 * @file The graph that sets gradients to zero before a step that adds them up. On a GPU it writes where they lie; from
 * the host zeros would have to travel.
 */
import { createGraph, expand, type Graph, input, type Value } from "@insula/onnx-grad";
import type { Trainable } from "./optimizer-model.js";

/** Input: `zero`, a scalar, fed so that no runtime can fold the results into constants. Outputs: `grad/…`. */
export function buildReset(params: readonly Trainable[]): { graph: Graph; outputs: Map<string, Value> } {
  const graph = createGraph();
  const zero = input(graph, "zero", "float32", []);
  return { graph, outputs: new Map(params.map(({ name, shape }) => [`grad/${name}`, expand(zero, shape)])) };
}
