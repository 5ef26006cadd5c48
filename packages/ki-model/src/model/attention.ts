/**
 * @file Multi-query / grouped-query attention over one mask (openpi `models/gemma.py` Attention). No soft-cap,
 * no dropout.
 */
import { attend, reshape, scalar, transpose, type Value, where } from "@insula/onnx-grad";

/** openpi's mask value: small enough that masked probabilities are exactly 0, finite so that no row is NaN. */
export const MASK_VALUE: number = -2.3819763e38;

/** A bool mask as an additive bias: 0 where visible. */
export function maskBias(visible: Value): Value {
  return where(visible, scalar(visible.graph, 0), MASK_VALUE);
}

/**
 * Softmax(q·kᵀ + bias)·v.
 * @param q `[b, s, n, h]`, already scaled; head j reads key head ⌊j·k/n⌋
 * @param k `[b, t, k, h]`
 * @param v `[b, t, k, h]`
 * @param bias `[b or 1, s or 1, t]`
 * @returns `[b, s, n·h]`
 */
export function attention(q: Value, k: Value, v: Value, bias: Value): Value {
  const [b, s, n, h] = q.shape as [number, number, number, number];
  const [, t, kv] = k.shape as [number, number, number];
  if (kv === 1) {
    // One key head: the query heads are just more rows, so no axis has to move.
    const y = attend(reshape(q, [b, s * n, h]), reshape(k, [b, t, h]), reshape(v, [b, t, h]), {
      value: reshape(bias, [bias.shape[0]!, bias.shape[1]!, 1, t]),
      shape: [b, s, n, t],
    });
    return reshape(y, [b, s, n * h]);
  }
  const g = n / kv;
  const queries = reshape(transpose(reshape(q, [b, s, kv, g, h]), [0, 2, 1, 3, 4]), [b, kv, s * g, h]);
  const y = attend(queries, transpose(k, [0, 2, 1, 3]), transpose(v, [0, 2, 1, 3]), {
    value: reshape(bias, [bias.shape[0]!, 1, bias.shape[1]!, 1, t]),
    shape: [b, kv, s, g, t],
  }); // [b, kv, s·g, h]
  return reshape(transpose(reshape(y, [b, kv, s, g, h]), [0, 2, 1, 3, 4]), [b, s, n * h]);
}
