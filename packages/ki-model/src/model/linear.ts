/**
 * @file Small layers.
 */
import { add, matmul, mul, reshape, rmsNormalize, split, type Value } from "@insula/onnx-grad";
import type { ModelContext } from "./context.js";

/** `x · kernel + bias` with the parameters under `path`. */
export function linear({ param }: ModelContext, path: string, x: Value, layer?: number): Value {
  return add(matmul(x, param(`${path}/kernel`, layer)), param(`${path}/bias`, layer));
}

/** Gemma's RMS norm: x / √(mean(x²) + 1e-6) · (1 + scale). */
export function rmsNorm({ param }: ModelContext, path: string, x: Value, layer?: number): Value {
  return mul(rmsNormalize(x, 1e-6), add(param(`${path}/scale`, layer), 1));
}

/**
 * Adaptive RMS norm (openpi `models/gemma.py` RMSNorm with `cond`): the condition gives scale, shift and the
 * gate of the sub-layer's residual.
 * @param x `[b, t, d]`
 * @param cond `[b, d]`
 * @returns the normalised value `[b, t, d]` and the gate `[b, 1, d]`
 */
export function adaptiveRmsNorm(
  context: ModelContext,
  path: string,
  x: Value,
  cond: Value,
  layer?: number,
): { y: Value; gate: Value } {
  const [b, , d] = x.shape as [number, number, number];
  const modulation = reshape(linear(context, `${path}/Dense_0`, cond, layer), [b, 1, 3 * d]);
  const [scale, shift, gate] = split(modulation, [d, d, d], 2) as [Value, Value, Value];
  return { y: add(mul(rmsNormalize(x, 1e-6), add(scale, 1)), shift), gate };
}
