/**
 * @file Softmax and its logarithm over the last axis.
 */
import { customVjp } from "../custom-vjp.js";
import { addOp, type OpRule, type Value } from "../graph.js";
import { mul, sub } from "./elementwise.js";
import { gatherElements, scatterAdd } from "./gather.js";
import { reduceSum } from "./reduce.js";
import { exp, neg } from "./unary.js";

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

/**
 * Logarithm of the softmax's entry at one index per row: minus the cross-entropy. Its gradient is one-hot minus
 * probabilities, added up in place.
 * @param x `[…, n]`
 * @param indices int64 `[…, 1]`
 * @returns `[…, 1]`
 */
export function logSoftmaxAt(x: Value, indices: Value): Value {
  const all = logSoftmax(x);
  return customVjp(gatherElements(all, indices, -1), [x], [all, indices], ({ saved, grad }) => {
    const [logs, at] = saved as [Value, Value];
    return [scatterAdd(neg(mul(exp(logs), grad)), at, grad, -1)];
  });
}

/** Logarithm of the softmax over the last axis. */
export function logSoftmax(x: Value): Value {
  return addOp(LOG_SOFTMAX, [x], x.dtype, x.shape, { axis: { int: -1 } });
}
