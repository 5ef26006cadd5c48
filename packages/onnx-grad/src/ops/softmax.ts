/**
 * @file Softmax and its logarithm over the last axis.
 */
import { addOp, type OpRule, type Value } from "../graph.js";
import { mul, sub } from "./elementwise.js";
import { reduceSum } from "./reduce.js";
import { exp } from "./unary.js";

const SOFTMAX: OpRule = {
  type: "Softmax",
  // dx = p ∘ (g − Σ g∘p)
  vjp: ({ outputs: [p], grads: [g] }) => [mul(p!, sub(g!, reduceSum(mul(g!, p!), [-1], true)))],
};

/** Softmax over the last axis. */
export function softmax(x: Value): Value {
  return addOp(SOFTMAX, [x], x.dtype, x.shape, { axis: { int: -1 } });
}

const LOG_SOFTMAX: OpRule = {
  type: "LogSoftmax",
  // dx = g − exp(y) · Σ g
  vjp: ({ outputs: [y], grads: [g] }) => [sub(g!, mul(exp(y!), reduceSum(g!, [-1], true)))],
};

/** Logarithm of the softmax over the last axis. */
export function logSoftmax(x: Value): Value {
  return addOp(LOG_SOFTMAX, [x], x.dtype, x.shape, { axis: { int: -1 } });
}
