/**
 * @file Reading by index, and its gradient: adding back by index.
 */
import { normalizeAxis } from "../axes.js";
import { GraphError } from "../error.js";
import { addOp, type OpRule, sameShape, show, size, type Value } from "../graph.js";
import { expand, reshape, zeros } from "./shape.js";
import { cast } from "./unary.js";

const GATHER: OpRule = {
  type: "Gather",
  vjp: ({ inputs, grads: [g] }) => {
    const [table, indices] = inputs as [Value, Value];
    const width = size(table.shape.slice(1));
    const count = size(indices.shape);
    // Sums over repeated rows; ONNX Runtime adds no 16-bit floats by index on the CPU.
    const dtype = table.dtype === "float64" ? table.dtype : "float32";
    const base = zeros({ graph: table.graph, dtype, shape: [table.shape[0]!, width] }, g!);
    const at = expand(reshape(indices, [count, 1]), [count, width]);
    const sums = scatterAdd(base, at, reshape(cast(g!, dtype), [count, width]), 0);
    return [cast(reshape(sums, table.shape), table.dtype), undefined];
  },
};

/** Rows of `table` `[n, …]` at integer `indices` `[…i]` → `[…i, …]`. */
export function gather(table: Value, indices: Value): Value {
  integer("Gather", indices);
  return addOp(GATHER, [table, indices], table.dtype, [...indices.shape, ...table.shape.slice(1)], {
    axis: { int: 0 },
  });
}

const GATHER_ELEMENTS: OpRule = {
  type: "GatherElements",
  vjp: ({ inputs, attributes, grads: [g] }) => {
    const [x, indices] = inputs as [Value, Value];
    return [scatterAdd(zeros(x, g!), indices, g!, (attributes["axis"] as { int: number }).int), undefined];
  },
};

/** One element per index along `axis`: `x` and `indices` (int64) agree in all other axes. */
export function gatherElements(x: Value, indices: Value, axis: number): Value {
  integer("GatherElements", indices);
  const a = normalizeAxis("GatherElements", x, axis);
  if (!sameShape(indices.shape.toSpliced(a, 1), x.shape.toSpliced(a, 1))) {
    throw new GraphError(
      "graph/shape",
      `GatherElements: indices ${show(indices.shape)} and ${show(x.shape)} differ outside axis ${a}`,
    );
  }
  return addOp(GATHER_ELEMENTS, [x, indices], x.dtype, indices.shape, { axis: { int: a } });
}

const SCATTER_ADD: OpRule = {
  type: "ScatterElements",
  vjp: ({ inputs, attributes, grads: [g] }) => {
    const [, indices] = inputs as [Value, Value];
    return [g, undefined, gatherElements(g!, indices, (attributes["axis"] as { int: number }).int)];
  },
};

/**
 * `base` with `updates` added along `axis` at `indices` (int64, as many as `updates`); repeated ones add up.
 *
 * By ScatterElements also where whole rows are added: ONNX Runtime's ScatterND adds on several threads and loses
 * updates to repeated rows.
 */
export function scatterAdd(base: Value, indices: Value, updates: Value, axis: number): Value {
  integer("ScatterElements", indices);
  const a = normalizeAxis("ScatterElements", base, axis);
  const fits = sameShape(updates.shape.toSpliced(a, 1), base.shape.toSpliced(a, 1));
  if (updates.dtype !== base.dtype || !sameShape(indices.shape, updates.shape) || !fits) {
    throw new GraphError(
      "graph/shape",
      `ScatterElements: indices ${show(indices.shape)} and updates ${updates.dtype}${show(updates.shape)} do not fit ` +
        `${base.dtype}${show(base.shape)} along axis ${a}`,
    );
  }
  return addOp(SCATTER_ADD, [base, indices, updates], base.dtype, base.shape, {
    axis: { int: a },
    reduction: { string: "add" },
  });
}

function integer(op: string, indices: Value): void {
  if (indices.dtype !== "int64")
    throw new GraphError("graph/dtype", `${op}: '${indices.name}' is ${indices.dtype}, expected int64`);
}
