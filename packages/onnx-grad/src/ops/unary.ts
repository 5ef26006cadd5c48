/**
 * @file Elementwise operators of one input.
 */
import { customVjp } from "../custom-vjp.js";
import { addOp, type DType, isFloat, type OpRule, type Value } from "../graph.js";
import { add, div, mul, sub } from "./elementwise.js";

/** An operator of one input; `derivative` multiplies the incoming gradient. */
function unary(type: string, vjp: (g: Value, x: Value, y: Value) => Value): (x: Value) => Value {
  const rule: OpRule = { type, vjp: ({ inputs: [x], outputs: [y], grads: [g] }) => [vjp(g!, x!, y!)] };
  return (x) => addOp(rule, [x], x.dtype, x.shape);
}

/** `−x`. */
export const neg: (x: Value) => Value = unary("Neg", (g) => neg(g));
/** eˣ. */
export const exp: (x: Value) => Value = unary("Exp", (g, _, y) => mul(g, y));
/** Natural logarithm. */
export const log: (x: Value) => Value = unary("Log", (g, x) => div(g, x));
/** √x. */
export const sqrt: (x: Value) => Value = unary("Sqrt", (g, _, y) => div(mul(g, 0.5), y));
/** 1/x. */
export const reciprocal: (x: Value) => Value = unary("Reciprocal", (g, _, y) => neg(mul(g, mul(y, y))));
/** Hyperbolic tangent. */
export const tanh: (x: Value) => Value = unary("Tanh", (g, _, y) => mul(g, sub(1, mul(y, y))));
/** 1/(1 + e⁻ˣ). */
export const sigmoid: (x: Value) => Value = unary("Sigmoid", (g, _, y) => mul(g, mul(y, sub(1, y))));
/** Sine, x in radians. */
export const sin: (x: Value) => Value = unary("Sin", (g, x) => mul(g, cos(x)));
/** Cosine, x in radians. */
export const cos: (x: Value) => Value = unary("Cos", (g, x) => neg(mul(g, sin(x))));

/** x·sigmoid(x), also called swish. */
export function silu(x: Value): Value {
  return mul(x, sigmoid(x));
}

const C = Math.sqrt(2 / Math.PI);
const A = 0.044715;

/**
 * d/dx of the tanh form of GELU. Made with the forward pass, though only the backward one reads it: of what stands later
 * in the graph a runtime would run it first, for all layers, and keep it until their gradients arrive.
 * With s = sigmoid(2c(x + ax³)), which is ½(1 + tanh(c(x + ax³))), GELU is x·s and
 * its derivative s·(1 + (1 − s)·x·2c(1 + 3ax²)).
 */
function geluSlope(x: Value): Value {
  const x2 = mul(x, x);
  const s = sigmoid(mul(x, add(mul(x2, 2 * C * A), 2 * C)));
  const slope = mul(x, add(mul(x2, 6 * C * A), 2 * C));
  return mul(s, add(mul(sub(1, s), slope), 1));
}

const GELU: OpRule = { type: "Gelu" };

/** GELU in its tanh form, ½x(1 + tanh(√(2/π)(x + 0.044715x³))), as Gemma and SigLIP use it. */
export function geluTanh(x: Value): Value {
  const y = addOp(GELU, [x], x.dtype, x.shape, { approximate: { string: "tanh" } });
  return customVjp(y, [x], [geluSlope(x)], ({ saved: [slope], grad }) => [mul(grad, slope!)]);
}

const CAST: OpRule = {
  type: "Cast",
  vjp: ({ inputs: [x], outputs: [y], grads: [g] }) => [
    isFloat(x!.dtype) && isFloat(y!.dtype) ? cast(g!, x!.dtype) : undefined,
  ],
};

/** ONNX TensorProto.DataType numbers. */
export const ONNX_DTYPE: Record<DType, number> = {
  float32: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16,
};

/** `x` as `dtype`; `x` itself when it has that type already. */
export function cast(x: Value, dtype: DType): Value {
  if (x.dtype === dtype) return x;
  return addOp(CAST, [x], dtype, x.shape, { to: { int: ONNX_DTYPE[dtype] } });
}
