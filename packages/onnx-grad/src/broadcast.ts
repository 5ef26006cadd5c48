/**
 * @file NumPy broadcasting, as ONNX defines it, and its inverse: the gradient of a broadcast input is the
 * sum over the axes along which it was repeated.
 */
import { GraphError } from "./error.js";
import { show, type Value } from "./graph.js";
import { reduceSum } from "./ops/reduce.js";
import { reshape } from "./ops/shape.js";

/** The shape that `a` and `b` broadcast to. */
export function broadcastShapes(op: string, a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  const out: number[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new GraphError("graph/broadcast", `${op}: shapes ${show(a)} and ${show(b)} do not broadcast`);
    }
    out.push(x === 1 ? y : x);
  }
  return out;
}

/** Sum `grad` down to `shape`, undoing a broadcast. */
export function unbroadcast(grad: Value, shape: readonly number[]): Value {
  const lead = grad.shape.length - shape.length;
  const axes: number[] = [];
  grad.shape.forEach((d, i) => {
    if (i < lead || (shape[i - lead] === 1 && d !== 1)) axes.push(i);
  });
  const summed = axes.length > 0 ? reduceSum(grad, axes, true) : grad;
  return reshape(summed, shape);
}
