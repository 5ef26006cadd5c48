/**
 * @file The product with a weight of a Gemma layer and, where it has an adapter, with that: x·W + scale·(x·A)·B
 * (arXiv:2106.09685). W + A·B is never made.
 */
import { add, cast, constant, matmul, mul, reduceSum, reshape, type Value } from "@insula/onnx-grad";
import { type Adapter, type Einsum, einsumPath, findAdapter, type Stack } from "../params/lora.js";
import type { ModelContext } from "./context.js";

/**
 * `x` `[b, t, in]` times an einsum's weight, `[b, t, out]`.
 * @param index of the weight on its stacked axes
 */
export function project(context: ModelContext, stack: Stack, einsum: Einsum, index: number, x: Value): Value {
  const { config, weight } = context;
  const base = matmul(x, weight(einsumPath(einsum, stack), index, x.dtype));
  const adapter = findAdapter(stack === "" ? config.vlm : config.expert, einsum, stack);
  if (!adapter) return base;
  const down = matmul(x, weight(adapter.a, index, x.dtype)); // [b, t, heads·rank], or [b, t, rank]
  const scaled = adapter.scale === 1 ? down : mul(down, adapter.scale);
  return add(base, matmul(scaled, cast(up(context, adapter, index), x.dtype)));
}

/** B as one matrix: what every head adds up to, or a block for every head. */
function up({ weight }: ModelContext, { b, sumsHeads }: Adapter, index: number): Value {
  const value = weight(b, index);
  if (value.shape.length === 2) return value;
  return sumsHeads ? reduceSum(value, [0]) : blockDiagonal(value);
}

/**
 * `[n, r, o]` as `[n·r, n·o]` with the n matrices on the diagonal: the heads' products become one, and no activation
 * has to be transposed. The zeros cost n·rank/in of the product with the weight, a sixteenth at gemma_2b's rank 16.
 */
function blockDiagonal(blocks: Value): Value {
  const [n, r, o] = blocks.shape as [number, number, number];
  const diagonal = Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
  const mask = constant(blocks.graph, diagonal, [n, 1, n, 1]);
  return reshape(mul(reshape(blocks, [n, r, 1, o]), mask), [n * r, n * o]);
}
