/**
 * @file Rotary position embedding (arXiv:2104.09864) in Gemma's half-split form (openpi `models/gemma.py`
 * `_apply_rope`): max wavelength 10 000, angles in float32.
 */
import {
  add,
  cast,
  concat,
  constant,
  cos,
  mul,
  reshape,
  sin,
  split,
  sub,
  type Value,
} from "@insula/onnx-grad";

/** Cosine and sine tables, `[b, t, 1, headDim/2]` each. */
export interface RopeTables {
  cos: Value;
  sin: Value;
}

/** Tables for float32 positions `[b, t]`. */
export function ropeTables(positions: Value, headDim: number): RopeTables {
  const [b, t] = positions.shape as [number, number];
  const half = headDim / 2;
  const inverse = Array.from({ length: half }, (_, i) => 1 / 10_000 ** ((2 * i) / headDim));
  const frequency = constant(positions.graph, inverse.map(Math.fround), [1, 1, 1, half]);
  const angle = mul(reshape(positions, [b, t, 1, 1]), frequency);
  return { cos: cos(angle), sin: sin(angle) };
}

/** Tables that also multiply by `factor`, so that scaling the queries costs nothing. */
export function scaleTables(tables: RopeTables, factor: number): RopeTables {
  return { cos: mul(tables.cos, factor), sin: mul(tables.sin, factor) };
}

/** Rotate `x` `[b, t, heads, headDim]`, to float32. */
export function applyRope(x: Value, { cos: c, sin: s }: RopeTables): Value {
  const half = x.shape[3]! / 2;
  const [a, b] = split(cast(x, "float32"), [half, half], 3) as [Value, Value];
  return concat([sub(mul(a, c), mul(b, s)), add(mul(b, c), mul(a, s))], 3);
}
