/**
 * @file Reductions and scans.
 */
import { normalizeAxes, normalizeAxis } from "../axes.js";
import { addOp, constant, isFloat, type OpRule, scalar, type Value } from "../graph.js";
import { mul } from "./elementwise.js";
import { expand, reshape } from "./shape.js";

/** `shape` with the reduced axes kept as 1. */
function keep(shape: readonly number[], axes: readonly number[]): number[] {
  return shape.map((d, i) => (axes.includes(i) ? 1 : d));
}

const axesOf = (x: Value): readonly number[] => x.constant!;

const REDUCE_SUM: OpRule = {
  type: "ReduceSum",
  vjp: ({ inputs: [x, axes], grads: [g] }) => [
    expand(reshape(g!, keep(x!.shape, axesOf(axes!))), x!.shape),
    undefined,
  ],
};
const REDUCE_MEAN: OpRule = {
  type: "ReduceMean",
  vjp: ({ inputs: [x, axes], grads: [g] }) => {
    const kept = keep(x!.shape, axesOf(axes!));
    const count = axesOf(axes!).reduce((n, a) => n * x!.shape[a]!, 1);
    return [expand(mul(reshape(g!, kept), 1 / count), x!.shape), undefined];
  },
};
const REDUCE_SUM_SQUARE: OpRule = {
  type: "ReduceSumSquare",
  vjp: ({ inputs: [x, axes], grads: [g] }) => [
    mul(mul(x!, 2), reshape(g!, keep(x!.shape, axesOf(axes!)))),
    undefined,
  ],
};
const REDUCE_MAX: OpRule = { type: "ReduceMax" };

function reduce(rule: OpRule, x: Value, axes: readonly number[], keepdims: boolean): Value {
  const over = normalizeAxes(rule.type, x, axes);
  if (over.length === 0) return x;
  const shape = keepdims ? keep(x.shape, over) : x.shape.filter((_, i) => !over.includes(i));
  const inputs = [x, constant(x.graph, over, [over.length], "int64")];
  return addOp(rule, inputs, x.dtype, shape, { keepdims: { int: keepdims ? 1 : 0 } });
}

/** Sum over `axes` (negative count from the end). */
export function reduceSum(x: Value, axes: readonly number[], keepdims = false): Value {
  return reduce(REDUCE_SUM, x, axes, keepdims);
}

/** Sum of squares over `axes`, in one pass. */
export function reduceSumSquare(x: Value, axes: readonly number[], keepdims = false): Value {
  return axes.length === 0 ? mul(x, x) : reduce(REDUCE_SUM_SQUARE, x, axes, keepdims);
}

/** Mean over `axes`. */
export function reduceMean(x: Value, axes: readonly number[], keepdims = false): Value {
  return reduce(REDUCE_MEAN, x, axes, keepdims);
}

/** Maximum over `axes`. No gradient passes. */
export function reduceMax(x: Value, axes: readonly number[], keepdims = false): Value {
  return reduce(REDUCE_MAX, x, axes, keepdims);
}

/** Sum of all elements, a scalar. */
export function sumAll(x: Value): Value {
  return reduceSum(
    x,
    x.shape.map((_, i) => i),
  );
}

/** Mean of all elements, a scalar. */
export function meanAll(x: Value): Value {
  return reduceMean(
    x,
    x.shape.map((_, i) => i),
  );
}

const ARG_MAX: OpRule = { type: "ArgMax" };

/** Index (int64) of the largest element along `axis`, which disappears; the first one on a tie. */
export function argMax(x: Value, axis: number): Value {
  const a = normalizeAxis("ArgMax", x, axis);
  const shape = x.shape.filter((_, i) => i !== a);
  return addOp(ARG_MAX, [x], "int64", shape, { axis: { int: a }, keepdims: { int: 0 } });
}

const CUM_SUM: OpRule = {
  type: "CumSum",
  vjp: ({ inputs: [x, axis], attributes, grads: [g] }) => {
    if (!isFloat(x!.dtype)) return [undefined, undefined];
    const reverse = (attributes["reverse"] as { int: number }).int === 0;
    return [cumSum(g!, axis!.constant![0]!, { reverse }), undefined];
  },
};

/** Running sum along `axis`, inclusive; from the end when `reverse`. */
export function cumSum(x: Value, axis: number, { reverse = false }: { reverse?: boolean } = {}): Value {
  const a = normalizeAxis("CumSum", x, axis);
  return addOp(CUM_SUM, [x, scalar(x.graph, a, "int64")], x.dtype, x.shape, {
    exclusive: { int: 0 },
    reverse: { int: reverse ? 1 : 0 },
  });
}
