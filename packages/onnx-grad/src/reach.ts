/**
 * @file Which graph inputs a value is computed from, for many values of a growing graph.
 */
import type { Graph, Value } from "./graph.js";
import { executedInputs } from "./live.js";

/** The graph inputs behind a value, one bit each in the order of `graph.inputs`. */
export function inputReach(graph: Graph): (value: Value) => bigint {
  const known = new Map<Value, bigint>();
  let [inputs, nodes] = [0, 0];
  return (value) => {
    for (; inputs < graph.inputs.length; inputs++) known.set(graph.inputs[inputs]!, 1n << BigInt(inputs));
    for (; nodes < graph.nodes.length; nodes++) {
      const node = graph.nodes[nodes]!;
      let reach = 0n;
      for (const x of executedInputs(node)) reach |= known.get(x) ?? 0n;
      for (const y of node.outputs) known.set(y, reach);
    }
    return known.get(value) ?? 0n;
  };
}
