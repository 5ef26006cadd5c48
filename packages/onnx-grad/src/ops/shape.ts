/**
 * @file Operators that move elements without changing them.
 */
import { normalizeAxis } from "../axes.js";
import { broadcastShapes, unbroadcast } from "../broadcast.js";
import { GraphError } from "../error.js";
import { addNode, addOp, constant, type OpRule, sameShape, show, size, type Value } from "../graph.js";
import { sub } from "./elementwise.js";
import { gather } from "./gather.js";
import { cast } from "./unary.js";

const RESHAPE: OpRule = {
  type: "Reshape",
  vjp: ({ inputs: [x], grads: [g] }) => [reshape(g!, x!.shape), undefined],
};

/** The elements of `x` in another shape; `x` itself when the shape is the same. */
export function reshape(x: Value, shape: readonly number[]): Value {
  if (sameShape(x.shape, shape)) return x;
  if (size(x.shape) !== size(shape)) {
    throw new GraphError("graph/shape", `Reshape: ${show(x.shape)} does not fill ${show(shape)}`);
  }
  return addOp(RESHAPE, [x, constant(x.graph, shape, [shape.length], "int64")], x.dtype, shape);
}

const TRANSPOSE: OpRule = {
  type: "Transpose",
  vjp: ({ attributes, grads: [g] }) => {
    const perm = (attributes["perm"] as { ints: readonly number[] }).ints;
    const inverse = perm.map((_, i) => perm.indexOf(i));
    return [transpose(g!, inverse)];
  },
};

/** Axis `i` of the result is axis `perm[i]` of `x`. */
export function transpose(x: Value, perm: readonly number[]): Value {
  if (
    !sameShape(
      [...perm].sort((a, b) => a - b),
      x.shape.map((_, i) => i),
    )
  ) {
    throw new GraphError(
      "graph/axes",
      `Transpose: ${show(perm)} does not permute the axes of ${show(x.shape)}`,
    );
  }
  if (perm.every((axis, i) => axis === i)) return x;
  // Two in a row are one, or none: the gradient of a product with a transposed weight is the weight's own.
  if (x.producer?.rule === TRANSPOSE) {
    const before = (x.producer.attributes["perm"] as { ints: readonly number[] }).ints;
    return transpose(
      x.producer.inputs[0]!,
      perm.map((axis) => before[axis]!),
    );
  }
  return addOp(
    TRANSPOSE,
    [x],
    x.dtype,
    perm.map((axis) => x.shape[axis]!),
    { perm: { ints: perm } },
  );
}

const CONCAT: OpRule = {
  type: "Concat",
  vjp: ({ inputs, attributes, grads: [g] }) => {
    const { int: axis } = attributes["axis"] as { int: number };
    return split(
      g!,
      inputs.map((x) => x.shape[axis]!),
      axis,
    );
  },
};

/** `values` one after the other along `axis`. */
export function concat(values: readonly Value[], axis: number): Value {
  const first = values[0]!;
  if (values.length === 1) return first;
  const a = normalizeAxis("Concat", first, axis);
  const rest = (v: Value) => v.shape.filter((_, i) => i !== a);
  for (const v of values) {
    if (
      v.dtype !== first.dtype ||
      v.shape.length !== first.shape.length ||
      !sameShape(rest(v), rest(first))
    ) {
      throw new GraphError(
        "graph/shape",
        `Concat: ${v.dtype}${show(v.shape)} does not join ${first.dtype}${show(first.shape)} along axis ${a}`,
      );
    }
  }
  const total = values.reduce((sum, v) => sum + v.shape[a]!, 0);
  return addOp(CONCAT, values, first.dtype, first.shape.with(a, total), { axis: { int: a } });
}

const SPLIT: OpRule = {
  type: "Split",
  vjp: ({ outputs, attributes, grads }) => {
    const { int: axis } = attributes["axis"] as { int: number };
    const known = grads.find((g) => g)!;
    return [
      concat(
        outputs.map((y, i) => grads[i] ?? zeros(y, known)),
        axis,
      ),
      undefined,
    ];
  },
};

/** `x` cut along `axis` into pieces of the given sizes. */
export function split(x: Value, sizes: readonly number[], axis: number): readonly Value[] {
  const a = normalizeAxis("Split", x, axis);
  const total = sizes.reduce((sum, s) => sum + s, 0);
  if (total !== x.shape[a]) {
    throw new GraphError(
      "graph/shape",
      `Split: pieces ${show(sizes)} do not sum to axis ${a} of ${show(x.shape)}`,
    );
  }
  if (sizes.length === 1) return [x];
  const lengths = constant(x.graph, sizes, [sizes.length], "int64");
  return addNode(
    SPLIT,
    [x, lengths],
    sizes.map((s) => ({ dtype: x.dtype, shape: x.shape.with(a, s) })),
    { axis: { int: a } },
  );
}

/** `count` (at least one) elements of `axis` from `start` on. */
export function slice(x: Value, start: number, count: number, axis: number): Value {
  const a = normalizeAxis("slice", x, axis);
  const length = x.shape[a]!;
  if (start < 0 || count < 1 || start + count > length) {
    throw new GraphError(
      "graph/shape",
      `slice: ${start}…${start + count} is empty or outside axis ${a} of ${show(x.shape)}`,
    );
  }
  const sizes = [start, count, length - start - count];
  const kept = sizes.flatMap((s, i) => (s > 0 ? [i] : []));
  return split(
    x,
    kept.map((i) => sizes[i]!),
    a,
  )[kept.indexOf(1)]!;
}

const EXPAND: OpRule = {
  type: "Expand",
  vjp: ({ inputs: [x], grads: [g] }) => [unbroadcast(g!, x!.shape), undefined],
};

/** `x` repeated to `shape`, as broadcasting would. */
export function expand(x: Value, shape: readonly number[]): Value {
  if (sameShape(x.shape, shape)) return x;
  if (!sameShape(broadcastShapes("Expand", x.shape, shape), shape)) {
    throw new GraphError("graph/broadcast", `Expand: ${show(x.shape)} does not broadcast to ${show(shape)}`);
  }
  return addOp(EXPAND, [x, constant(x.graph, shape, [shape.length], "int64")], x.dtype, shape);
}

/**
 * Zeros of the shape and type of `like`, made where `after` is there. The zero is computed from an element of `after`,
 * whatever that is: a runtime would store an expanded constant, as large as it is, for the whole of its life.
 */
export function zeros(like: Pick<Value, "graph" | "dtype" | "shape">, after: Value): Value {
  const first = constant(like.graph, [0], [1], "int64");
  const element = gather(reshape(after, [size(after.shape)]), first);
  const finite = cast(cast(element, "bool"), like.dtype); // 0 or 1
  return expand(reshape(sub(finite, finite), []), like.shape);
}

const ALIAS: OpRule = { type: "Alias" };

/** `x` as a constant: gradients stop here. Costs nothing; the node is removed when serialised. */
export function stopGradient(x: Value): Value {
  return addOp(ALIAS, [x], x.dtype, x.shape);
}
