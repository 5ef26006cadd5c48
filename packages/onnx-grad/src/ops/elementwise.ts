/**
 * @file Elementwise operators of two or three inputs, with broadcasting.
 */
import { broadcastShapes, unbroadcast } from "../broadcast.js";
import { GraphError } from "../error.js";
import { addOp, type OpRule, scalar, type Value } from "../graph.js";
import { neg } from "./unary.js";

/** A value, or a number that becomes a scalar constant of the other operand's type. */
export type Operand = Value | number;

function binary(rule: OpRule, a: Operand, b: Operand): Value {
  const graph = typeof a === "number" ? (b as Value).graph : a.graph;
  const dtype = typeof a === "number" ? (b as Value).dtype : a.dtype;
  const x = typeof a === "number" ? scalar(graph, a, dtype) : a;
  const y = typeof b === "number" ? scalar(graph, b, dtype) : b;
  if (x.dtype !== y.dtype) {
    throw new GraphError("graph/dtype", `${rule.type}: '${x.name}' is ${x.dtype}, '${y.name}' is ${y.dtype}`);
  }
  return addOp(rule, [x, y], x.dtype, broadcastShapes(rule.type, x.shape, y.shape));
}

const ADD: OpRule = {
  type: "Add",
  vjp: ({ inputs: [a, b], grads: [g] }) => [unbroadcast(g!, a!.shape), unbroadcast(g!, b!.shape)],
};
const SUB: OpRule = {
  type: "Sub",
  vjp: ({ inputs: [a, b], grads: [g] }) => [unbroadcast(g!, a!.shape), unbroadcast(neg(g!), b!.shape)],
};
const MUL: OpRule = {
  type: "Mul",
  vjp: ({ inputs: [a, b], grads: [g] }) => [
    unbroadcast(mul(g!, b!), a!.shape),
    unbroadcast(mul(g!, a!), b!.shape),
  ],
};
const DIV: OpRule = {
  type: "Div",
  vjp: ({ inputs: [a, b], outputs: [y], grads: [g] }) => {
    const da = div(g!, b!);
    return [unbroadcast(da, a!.shape), unbroadcast(neg(mul(da, y!)), b!.shape)];
  },
};
const MIN: OpRule = { type: "Min" };
const MAX: OpRule = { type: "Max" };

/** `a + b`. */
export function add(a: Operand, b: Operand): Value {
  return binary(ADD, a, b);
}

/** `a − b`. */
export function sub(a: Operand, b: Operand): Value {
  return binary(SUB, a, b);
}

/** `a · b`, elementwise. */
export function mul(a: Operand, b: Operand): Value {
  return binary(MUL, a, b);
}

/** `a / b`, elementwise; integers divide toward zero. */
export function div(a: Operand, b: Operand): Value {
  return binary(DIV, a, b);
}

/** The smaller of `a` and `b`. No gradient passes. */
export function minimum(a: Operand, b: Operand): Value {
  return binary(MIN, a, b);
}

/** The larger of `a` and `b`. No gradient passes. */
export function maximum(a: Operand, b: Operand): Value {
  return binary(MAX, a, b);
}

const WHERE: OpRule = {
  type: "Where",
  vjp: ({ inputs: [condition, a, b], grads: [g] }) => [
    undefined,
    unbroadcast(where(condition!, g!, 0), a!.shape),
    unbroadcast(where(condition!, 0, g!), b!.shape),
  ],
};

/** `a` where `condition` (bool) holds, else `b`. */
export function where(condition: Value, a: Operand, b: Operand): Value {
  const { graph } = condition;
  const dtype = typeof a === "number" ? (b as Value).dtype : a.dtype;
  const x = typeof a === "number" ? scalar(graph, a, dtype) : a;
  const y = typeof b === "number" ? scalar(graph, b, dtype) : b;
  if (condition.dtype !== "bool" || x.dtype !== y.dtype) {
    throw new GraphError(
      "graph/dtype",
      `Where: expected bool and two of one type, found ${condition.dtype}, ${x.dtype}, ${y.dtype}`,
    );
  }
  const shape = broadcastShapes("Where", condition.shape, broadcastShapes("Where", x.shape, y.shape));
  return addOp(WHERE, [condition, x, y], x.dtype, shape);
}
