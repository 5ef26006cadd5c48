/**
 * @file Comparisons and logic: bool results, no gradients.
 */
import { broadcastShapes } from "../broadcast.js";
import { GraphError } from "../error.js";
import { addOp, type DType, type OpRule, scalar, type Value } from "../graph.js";

function compare(type: string, operands?: DType): (a: Value, b: Value | number) => Value {
  const rule: OpRule = { type };
  return (a, b) => {
    const y = typeof b === "number" ? scalar(a.graph, b, a.dtype) : b;
    if (y.dtype !== (operands ?? a.dtype) || a.dtype !== y.dtype) {
      throw new GraphError(
        "graph/dtype",
        `${type}: expected two of ${operands ?? "one type"}, found ${a.dtype} and ${y.dtype}`,
      );
    }
    return addOp(rule, [a, y], "bool", broadcastShapes(type, a.shape, y.shape));
  };
}

/** `a = b`. */
export const equal: (a: Value, b: Value | number) => Value = compare("Equal");
/** `a < b`. */
export const less: (a: Value, b: Value | number) => Value = compare("Less");
/** `a ≤ b`. */
export const lessOrEqual: (a: Value, b: Value | number) => Value = compare("LessOrEqual");
/** `a > b`. */
export const greater: (a: Value, b: Value | number) => Value = compare("Greater");
/** `a ∧ b`. */
export const and: (a: Value, b: Value) => Value = compare("And", "bool") as (a: Value, b: Value) => Value;
/** `a ∨ b`. */
export const or: (a: Value, b: Value) => Value = compare("Or", "bool") as (a: Value, b: Value) => Value;

const NOT: OpRule = { type: "Not" };

/** `¬a`. */
export function not(a: Value): Value {
  if (a.dtype !== "bool") throw new GraphError("graph/dtype", `Not: expected bool, found ${a.dtype}`);
  return addOp(NOT, [a], "bool", a.shape);
}
