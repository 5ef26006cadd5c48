/**
 * @file Arithmetic of a step, and the memory that it moves.
 */
import { size, type Value } from "../graph.js";
import { byteSize } from "./bytes.js";
import type { Step } from "./executed.js";

/** Work of one step or of many. */
export interface Work {
  /** Floating-point operations of matrix products: 2·m·n·k per product. */
  matmulFlops: number;
  /** One per element and elementwise operator, and one per element that a reduction reads. */
  otherFlops: number;
  /** Bytes of the operands and of the results; what a view does not touch is not counted. */
  bytesRead: number;
  bytesWritten: number;
}

/** Operators that only name what is there. */
const VIEWS: ReadonlySet<string> = new Set(["Reshape", "Identity"]);

/** Operators that move elements without arithmetic. */
const MOVES: ReadonlySet<string> = new Set(
  "Transpose Concat Split Expand Gather GatherElements Cast Where".split(" "),
);

/** Operators whose work is in what they read: sums, searches, normalisations with their several passes. */
const PASSES: Readonly<Record<string, number>> = {
  ReduceSum: 1,
  ReduceMean: 1,
  ReduceMax: 1,
  ArgMax: 1,
  CumSum: 1,
  Softmax: 5,
  LogSoftmax: 5,
  LayerNormalization: 8,
  Gelu: 8,
};

/** What one step does. */
export function stepWork({ node, inputs, outputs }: Step): Work {
  const { type } = node.rule;
  if (VIEWS.has(type)) return { matmulFlops: 0, otherFlops: 0, bytesRead: 0, bytesWritten: 0 };
  const bytes = (values: readonly Value[]) => values.reduce((sum, v) => sum + byteSize(v), 0);
  const y = outputs[0]!;
  // Of a table or of a base to add to, only the rows that the indices name are touched.
  const sparse = type === "Gather" || type === "GatherElements";
  return {
    matmulFlops: type === "MatMul" ? 2 * size(y.shape) * node.inputs[0]!.shape.at(-1)! : 0,
    otherFlops:
      type === "MatMul" || MOVES.has(type)
        ? 0
        : type in PASSES
          ? PASSES[type]! * size(inputs[0]!.shape)
          : size(y.shape),
    bytesRead: sparse ? byteSize(y) + bytes(inputs.slice(1)) : bytes(inputs),
    bytesWritten: bytes(outputs),
  };
}

/** The work of all steps. */
export function totalWork(steps: readonly Step[]): Work {
  const total: Work = { matmulFlops: 0, otherFlops: 0, bytesRead: 0, bytesWritten: 0 };
  for (const step of steps) {
    const work = stepWork(step);
    for (const key of Object.keys(total) as (keyof Work)[]) total[key] += work[key];
  }
  return total;
}
