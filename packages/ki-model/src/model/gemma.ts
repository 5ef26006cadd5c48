/**
 * @file Gemma layers (openpi `models/gemma.py`), the two halves that both stacks share: projections with
 * rotary positions, and the gated feed-forward network.
 */
import type { GemmaConfig } from "@insula/model-types";
import { geluTanh, matmul, mul, reshape, split, type Value } from "@insula/onnx-grad";
import type { ModelContext } from "./context.js";
import { applyRope, type RopeTables, scaleTables } from "./rope.js";
import { type Rows, takeRows } from "./rows.js";

/** Keys (after rotation) and values of one layer, `[b, t, kvHeads, headDim]` each. */
export interface KeysValues {
  k: Value;
  v: Value;
}

const LAYERS = "PaliGemma/llm/layers";

/** `""` for the VLM, `"_1"` for the action expert: openpi's suffix on parameter names. */
export type Stack = "" | "_1";

/**
 * Queries (rotated and scaled by headDim^-½) and keys (rotated), both float32, and values of `x` `[b, t, d]`.
 * @param rows the only rows that ask, where not all do: queries are `[b, r, heads, headDim]` then
 */
export function projectQkv(
  { weight }: ModelContext,
  { numHeads: n, numKvHeads: kv, headDim: h }: GemmaConfig,
  stack: Stack,
  layer: number,
  x: Value,
  rope: RopeTables,
  rows?: Rows,
): KeysValues & { q: Value } {
  const [b, t] = x.shape as [number, number];
  const asking = (y: Value) => (rows ? takeRows(y, rows) : y);
  let parts: readonly Value[];
  if (n === kv) {
    const [q, k, v] = split(
      matmul(x, weight(`${LAYERS}/attn/qkv_einsum${stack}/w`, layer, x.dtype)),
      [n * h, n * h, n * h],
      2,
    ) as [Value, Value, Value];
    parts = [asking(q), k, v];
  } else {
    const q = matmul(asking(x), weight(`${LAYERS}/attn/q_einsum${stack}/w`, layer, x.dtype));
    const kvs = matmul(x, weight(`${LAYERS}/attn/kv_einsum${stack}/w`, layer, x.dtype));
    parts = [q, ...split(kvs, [kv * h, kv * h], 2)];
  }
  const [q, k, v] = parts as [Value, Value, Value];
  const tables = { cos: asking(rope.cos), sin: asking(rope.sin) };
  return {
    q: applyRope(reshape(q, [b, q.shape[1]!, n, h]), scaleTables(tables, h ** -0.5)),
    k: applyRope(reshape(k, [b, t, kv, h]), rope),
    v: reshape(v, [b, t, kv, h]),
  };
}

/** The attention's output projection. */
export function projectOut({ weight }: ModelContext, stack: Stack, layer: number, attended: Value): Value {
  return matmul(attended, weight(`${LAYERS}/attn/attn_vec_einsum${stack}/w`, layer, attended.dtype));
}

/** GeGLU: gelu(x·W₀) ∘ (x·W₁) · W₂. */
export function feedForward({ weight }: ModelContext, stack: Stack, layer: number, x: Value): Value {
  const [gate, up] = [0, 1].map((half) =>
    matmul(x, weight(`${LAYERS}/mlp${stack}/gating_einsum`, 2 * layer + half, x.dtype)),
  ) as [Value, Value];
  return matmul(mul(geluTanh(gate), up), weight(`${LAYERS}/mlp${stack}/linear`, layer, x.dtype));
}

/** Path of a layer's norm. */
export function layerNormPath(name: "pre_attention_norm" | "pre_ffw_norm", stack: Stack): string {
  return `${LAYERS}/${name}${stack}`;
}
