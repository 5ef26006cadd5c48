/**
 * @file Matrix products. Transposes beside them are left to ONNX Runtime, which fuses them (FusedMatMul).
 */
import { broadcastShapes, unbroadcast } from "../broadcast.js";
import { GraphError } from "../error.js";
import { addOp, type OpRule, show, size, type Value } from "../graph.js";
import { reshape, transpose } from "./shape.js";

/** The last two axes swapped. */
export function matrixTranspose(x: Value): Value {
  const n = x.shape.length;
  return transpose(x, [...Array(n - 2).keys(), n - 1, n - 2]);
}

/** All axes but the last folded into rows. */
function rows(x: Value): Value {
  const last = x.shape.at(-1)!;
  return reshape(x, [size(x.shape) / last, last]);
}

const MATMUL: OpRule = {
  type: "MatMul",
  vjp: ({ inputs, grads: [g] }) => {
    const [a, b] = inputs as [Value, Value];
    // A weight [k, n]: its gradient is one plain product over all rows, not a sum over batches.
    if (b.shape.length === 2) {
      // The gradient of a transposed weight, transposed: that of the weight is then a product, and no Transpose.
      const db =
        b.producer?.rule.type === "Transpose"
          ? matrixTranspose(matmul(matrixTranspose(rows(g!)), rows(a)))
          : matmul(matrixTranspose(rows(a)), rows(g!));
      return [reshape(matmul(rows(g!), matrixTranspose(b)), a.shape), db];
    }
    return [
      unbroadcast(matmul(g!, matrixTranspose(b)), a.shape),
      unbroadcast(matmul(matrixTranspose(a), g!), b.shape),
    ];
  },
};

/** `a · b`: `[…, m, k] × […, k, n] → […, m, n]`; leading axes broadcast. */
export function matmul(a: Value, b: Value): Value {
  const [m, k] = a.shape.slice(-2) as [number, number];
  const [k2, n] = b.shape.slice(-2) as [number, number];
  if (a.shape.length < 2 || b.shape.length < 2 || k !== k2 || a.dtype !== b.dtype) {
    throw new GraphError("graph/shape", `MatMul: ${a.dtype}${show(a.shape)} × ${b.dtype}${show(b.shape)}`);
  }
  // Rows of a plain weight product are folded, so that it is one GEMM.
  if (b.shape.length === 2 && a.shape.length > 2)
    return reshape(matmul(rows(a), b), [...a.shape.slice(0, -1), n]);
  const batch = broadcastShapes("MatMul", a.shape.slice(0, -2), b.shape.slice(0, -2));
  return addOp(MATMUL, [a, b], a.dtype, [...batch, m, n]);
}
