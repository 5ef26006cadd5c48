/**
 * @file Small layers.
 */
import { add, cast, matmul, mul, reshape, rmsNormalize, split, type Value } from "@insula/onnx-grad";
import type { ModelContext } from "./context.js";

/** `x · kernel + bias` with the parameters under `path`, in x's type. */
export function linear({ weight }: ModelContext, path: string, x: Value, layer?: number): Value {
  return add(matmul(x, weight(`${path}/kernel`, layer, x.dtype)), weight(`${path}/bias`, layer, x.dtype));
}

/** Gemma's RMS norm: x / √(mean(x²) + 1e-6) · (1 + scale), in float32 between x's type and x's type. */
export function rmsNorm({ weight }: ModelContext, path: string, x: Value, layer?: number): Value {
  const normal = rmsNormalize(cast(x, "float32"), 1e-6);
  return cast(mul(normal, add(weight(`${path}/scale`, layer), 1)), x.dtype);
}

/**
 * Adaptive RMS norm (openpi `models/gemma.py` RMSNorm with `cond`): the condition gives scale, shift and the
 * gate of the sub-layer's residual.
 * @param x `[b, t, d]`
 * @param cond float32 `[b, d]`
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
  const normal = rmsNormalize(cast(x, "float32"), 1e-6);
  return { y: cast(add(mul(normal, add(scale, 1)), shift), x.dtype), gate: cast(gate, x.dtype) };
}
