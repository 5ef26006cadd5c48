/**
 * @file Gemma layers (openpi `models/gemma.py`), the two halves that both stacks share: projections with
 * rotary positions, and the gated feed-forward network.
 */
import type { GemmaConfig } from "@insula/model-types";
import { geluTanh, mul, reshape, split, type Value } from "@insula/onnx-grad";
import type { Stack } from "../params/lora.js";
import type { ModelContext } from "./context.js";
import { project } from "./project.js";
import { applyRope, type RopeTables, scaleTables } from "./rope.js";
import { type Rows, takeRows } from "./rows.js";

/** Keys (after rotation) and values of one layer, `[b, t, kvHeads, headDim]` each. */
export interface KeysValues {
  k: Value;
  v: Value;
}

const LAYERS = "PaliGemma/llm/layers";

/**
 * Queries (rotated and scaled by headDim^-½) and keys (rotated), both float32, and values of `x` `[b, t, d]`.
 * @param rows the only rows that ask, where not all do: queries are `[b, r, heads, headDim]` then
 */
export function projectQkv(
  context: ModelContext,
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
    const qkv = project(context, stack, "qkv_einsum", layer, x);
    const [q, k, v] = split(qkv, [n * h, n * h, n * h], 2) as [Value, Value, Value];
    parts = [asking(q), k, v];
  } else {
    const q = project(context, stack, "q_einsum", layer, asking(x));
    const kvs = project(context, stack, "kv_einsum", layer, x);
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
export function projectOut(context: ModelContext, stack: Stack, layer: number, attended: Value): Value {
  return project(context, stack, "attn_vec_einsum", layer, attended);
}

/** GeGLU: gelu(x·W₀) ∘ (x·W₁) · W₂. */
export function feedForward(context: ModelContext, stack: Stack, layer: number, x: Value): Value {
  const [gate, up] = [0, 1].map((half) => project(context, stack, "gating_einsum", 2 * layer + half, x)) as [
    Value,
    Value,
  ];
  return project(context, stack, "linear", layer, mul(geluTanh(gate), up));
}

/** Path of a layer's norm. */
export function layerNormPath(name: "pre_attention_norm" | "pre_ffw_norm", stack: Stack): string {
  return `${LAYERS}/${name}${stack}`;
}
