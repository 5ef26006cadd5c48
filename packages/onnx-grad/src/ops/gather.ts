/**
 * @file Reading by index, and its gradient: adding back by index.
 */
import { normalizeAxis } from "../axes.js";
import { GraphError } from "../error.js";
import { addOp, type OpRule, sameShape, show, type Value } from "../graph.js";
import { reshape, zeros } from "./shape.js";
import { cast } from "./unary.js";

const GATHER: OpRule = {
  type: "Gather",
  vjp: ({ inputs, grads: [g] }) => {
    const [table, indices] = inputs as [Value, Value];
    // Sums over repeated rows; ONNX Runtime adds no 16-bit floats by index on the CPU.
    const wide = table.dtype === "float64" ? table.dtype : "float32";
    const sums = scatterAdd(
      zeros(cast(table, wide)),
      reshape(indices, [...indices.shape, 1]),
      cast(g!, wide),
    );
    return [cast(sums, table.dtype), undefined];
  },
};

/** Rows of `table` `[n, …]` at integer `indices` `[…i]` → `[…i, …]`. */
export function gather(table: Value, indices: Value): Value {
  integer("Gather", indices);
  return addOp(GATHER, [table, indices], table.dtype, [...indices.shape, ...table.shape.slice(1)], {
    axis: { int: 0 },
  });
}

const SCATTER_ADD: OpRule = {
  type: "ScatterND",
  vjp: ({ inputs, grads: [g] }) => {
    const [, indices] = inputs as [Value, Value];
    return [g, undefined, gather(g!, reshape(indices, indices.shape.slice(0, -1)))];
  },
};

/** `base` `[n, …]` with `updates` `[…i, …]` added at rows `indices` `[…i, 1]` (int64); repeated rows add up. */
export function scatterAdd(base: Value, indices: Value, updates: Value): Value {
  integer("ScatterND", indices);
  if (indices.shape.at(-1) !== 1)
    throw new GraphError("graph/shape", `ScatterND: indices ${show(indices.shape)}, expected […, 1]`);
  const expected = [...indices.shape.slice(0, -1), ...base.shape.slice(1)];
  if (updates.dtype !== base.dtype || !sameShape(updates.shape, expected)) {
    throw new GraphError(
      "graph/shape",
      `ScatterND: updates ${updates.dtype}${show(updates.shape)}, expected ${base.dtype}${show(expected)}`,
    );
  }
  return addOp(SCATTER_ADD, [base, indices, updates], base.dtype, base.shape, {
    reduction: { string: "add" },
  });
}

const GATHER_ELEMENTS: OpRule = {
  type: "GatherElements",
  vjp: ({ inputs, attributes, grads: [g] }) => {
    const [x, indices] = inputs as [Value, Value];
    return [
      scatterElementsAdd(zeros(x), indices, g!, (attributes["axis"] as { int: number }).int),
      undefined,
    ];
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

const SCATTER_ELEMENTS: OpRule = {
  type: "ScatterElements",
  vjp: ({ inputs, attributes, grads: [g] }) => {
    const [, indices] = inputs as [Value, Value];
    return [g, undefined, gatherElements(g!, indices, (attributes["axis"] as { int: number }).int)];
  },
};

/** `base` with `updates` added at `indices` along `axis`. */
function scatterElementsAdd(base: Value, indices: Value, updates: Value, axis: number): Value {
  return addOp(SCATTER_ELEMENTS, [base, indices, updates], base.dtype, base.shape, {
    axis: { int: axis },
    reduction: { string: "add" },
  });
}

function integer(op: string, indices: Value): void {
  if (indices.dtype !== "int64")
    throw new GraphError("graph/dtype", `${op}: '${indices.name}' is ${indices.dtype}, expected int64`);
}
