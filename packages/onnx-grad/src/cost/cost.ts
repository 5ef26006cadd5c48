/**
 * @file What a graph costs when ONNX Runtime executes it: arithmetic, memory traffic and the most memory in use, read
 * off the graph itself. No tensor is needed, so it works for models that no machine at hand could hold.
 */
import type { Graph, Value } from "../graph.js";
import { byteSize } from "./bytes.js";
import { executed } from "./executed.js";
import { totalWork, type Work } from "./flops.js";
import { type Peak, peakMemory } from "./memory.js";
import { executionOrder } from "./order.js";

/** Cost of one run. */
export interface Cost extends Work {
  /** Kernels that run. */
  steps: number;
  /** Bytes of the graph inputs that are read, of the results, and of constants and what is folded to one. */
  inputBytes: number;
  outputBytes: number;
  constantBytes: number;
  /** The most memory that values between inputs and outputs take at once. */
  peak: Peak;
}

/**
 * Cost of computing `outputs`, on one stream of the CPU provider with all graph optimisations and without its memory
 * patterns. Time is linear in the graph but for a logarithm: a training graph of 5000 nodes takes about 0.2 s.
 */
export function cost(graph: Graph, outputs: Iterable<Value>): Cost {
  const results = [...outputs];
  const parts = executed(graph, results);
  const order = executionOrder(parts);
  const bytes = (values: Iterable<Value>) => [...values].reduce((sum, v) => sum + byteSize(v), 0);
  return {
    ...totalWork(order),
    steps: order.length,
    inputBytes: bytes(parts.inputs),
    outputBytes: bytes(results),
    constantBytes: bytes(parts.constants),
    peak: peakMemory(parts, order),
  };
}
