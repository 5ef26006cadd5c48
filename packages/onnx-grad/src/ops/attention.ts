/**
 * @file Attention with the backward pass of FlashAttention (arXiv:2205.14135, appendix B.2).
 */
import { customVjp } from "../custom-vjp.js";
import type { Value } from "../graph.js";
import { add, mul, sub } from "./elementwise.js";
import { matmul, matrixTranspose } from "./matmul.js";
import { reduceSum } from "./reduce.js";
import { reshape } from "./shape.js";
import { softmax } from "./softmax.js";
import { cast } from "./unary.js";

/** A mask, added to the scores. */
export interface AttentionBias {
  /** Broadcasts to `shape`. */
  value: Value;
  /** The scores `[…, m, t]` in the shape in which the bias is added. */
  shape: readonly number[];
}

/**
 * softmax(q·kᵀ + bias)·v.
 *
 * The softmax's gradient needs the row sums of dP∘P; they equal those of dO∘O, which are as long as the result and
 * not as the scores, so two passes over the score matrix are saved. No gradient flows to the bias.
 * @param q `[…, m, h]`, scaled
 * @param k `[…, t, h]`
 * @param v `[…, t, h]`; where its type is a shorter one than that of q and k, so is that of the probabilities and of the
 *   result, and scores and softmax are in the type of q and k
 * @param bias added to the scores; absent: everything is visible
 * @returns `[…, m, h]`
 */
export function attend(q: Value, k: Value, v: Value, bias?: AttentionBias): Value {
  const scores = matmul(q, matrixTranspose(k)); // […, m, t]
  const masked = bias
    ? reshape(softmax(add(reshape(scores, bias.shape), bias.value)), scores.shape)
    : softmax(scores);
  const p = cast(masked, v.dtype);
  const out = matmul(p, v);
  return customVjp(out, [q, k, v], [q, k, v, p, out], ({ saved, grad }) => {
    const [query, key, value, p, y] = saved as [Value, Value, Value, Value, Value];
    const precise = (x: Value) => cast(x, query.dtype);
    const rowSums = reduceSum(mul(precise(grad), precise(y)), [-1], true); // […, m, 1]
    const dScores = mul(precise(p), sub(precise(matmul(grad, matrixTranspose(value))), rowSums));
    return [matmul(dScores, key), matmul(matrixTranspose(dScores), query), matmul(matrixTranspose(p), grad)];
  });
}
