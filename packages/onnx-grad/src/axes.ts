/**
 * @file Axes as callers name them, negative ones counting from the end, brought to 0…rank−1.
 */
import { GraphError } from "./error.js";
import { show, type Value } from "./graph.js";

/** Ascending, each at most once. */
export function normalizeAxes(op: string, x: Value, axes: readonly number[]): number[] {
  const rank = x.shape.length;
  const out = axes.map((a) => (a < 0 ? a + rank : a)).sort((a, b) => a - b);
  if (out.some((a, i) => !Number.isInteger(a) || a < 0 || a >= rank || a === out[i - 1])) {
    throw new GraphError("graph/axes", `${op}: axes ${show(axes)} of ${show(x.shape)}`);
  }
  return out;
}

/** One axis. */
export function normalizeAxis(op: string, x: Value, axis: number): number {
  return normalizeAxes(op, x, [axis])[0]!;
}
