/**
 * @file Every operator under random shapes, types of data and options. The gradient tests and the ONNX Runtime
 * tests run the same cases; `vjp.test.ts` asserts that no export is missing here.
 */
import fc from "fast-check";
import type { Value } from "../src/index.js";
import * as g from "../src/index.js";
import type { Dense } from "./evaluate.js";

/** What an input holds. `positive` and `nonzero` keep away from poles; `below` are indices 0…n−1, repeated ones included. */
export type Kind = "real" | "positive" | "nonzero" | "digits" | "integer" | "bool" | { below: number };

export interface InputSpec {
  readonly shape: readonly number[];
  readonly kind: Kind;
}

/** Inputs and what is made of them. */
export interface Case {
  readonly inputs: readonly InputSpec[];
  readonly build: (...values: Value[]) => Value | readonly Value[];
}

type CaseArbitrary = fc.Arbitrary<Case>;

const of = (shape: readonly number[], kind: Kind = "real"): InputSpec => ({ shape, kind });

const dim = fc.integer({ min: 1, max: 4 });
const shapes = (minLength: number, maxLength = 3) => fc.array(dim, { minLength, maxLength });

/** A shape that broadcasts to `shape`: leading axes dropped, others set to 1. */
const operand = (shape: readonly number[]) =>
  fc
    .tuple(fc.nat(shape.length), fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }))
    .map(([drop, ones]) => shape.map((d, i) => (ones[i] ? 1 : d)).slice(drop));

const axisOf = (shape: readonly number[]) => fc.integer({ min: -shape.length, max: shape.length - 1 });

/** A shape and one of its axes, counted from either end. */
const shapeAndAxis = (minRank = 1) =>
  shapes(minRank).chain((shape) => fc.record({ shape: fc.constant(shape), axis: axisOf(shape) }));

const unary = (f: (x: Value) => Value, kind: Kind = "real"): CaseArbitrary =>
  shapes(0).map((shape) => ({ inputs: [of(shape, kind)], build: f }));

/** Two broadcast operands, one of them perhaps a number, or one value twice. */
function binary(
  f: (a: g.Operand, b: g.Operand) => Value,
  { left = "real", right = "real" }: { left?: Kind; right?: Kind } = {},
): CaseArbitrary {
  return fc.oneof(
    shapes(0)
      .chain((s) => fc.tuple(operand(s), operand(s)))
      .map(([a, b]) => ({ inputs: [of(a, left), of(b, right)], build: (x: Value, y: Value) => f(x, y) })),
    shapes(0).map((s) => ({ inputs: [of(s, left)], build: (x: Value) => f(x, -1.75) })),
    shapes(0).map((s) => ({ inputs: [of(s, right)], build: (x: Value) => f(0.5, x) })),
    shapes(0).map((s) => ({ inputs: [of(s, right)], build: (x: Value) => f(x, x) })),
  );
}

const compare = (f: (a: Value, b: Value | number) => Value): CaseArbitrary =>
  fc.oneof(
    shapes(0)
      .chain((s) => fc.tuple(operand(s), operand(s), fc.constantFrom<Kind>("digits", "integer")))
      .map(([a, b, kind]) => ({
        inputs: [of(a, kind), of(b, kind)],
        build: (x: Value, y: Value) => f(x, y),
      })),
    shapes(0).map((s) => ({ inputs: [of(s, "digits")], build: (x: Value) => f(x, 2) })),
  );

const logic = (f: (a: Value, b: Value) => Value): CaseArbitrary =>
  shapes(0)
    .chain((s) => fc.tuple(operand(s), operand(s)))
    .map(([a, b]) => ({ inputs: [of(a, "bool"), of(b, "bool")], build: f }));

const reduction = (f: typeof g.reduceSum): CaseArbitrary =>
  shapes(0)
    .chain((shape) =>
      fc.record({
        shape: fc.constant(shape),
        axes: fc.subarray([...shape.keys()]),
        fromEnd: fc.boolean(),
        keepdims: fc.boolean(),
      }),
    )
    .map(({ shape, axes, fromEnd, keepdims }) => ({
      inputs: [of(shape)],
      build: (x) =>
        f(
          x,
          axes.map((a) => (fromEnd ? a - shape.length : a)),
          keepdims,
        ),
    }));

/** `[…a, m, k] × […b, k, n]`: plain, batched, and with broadcast batches of different rank. */
const matmul: CaseArbitrary = shapes(0, 2)
  .chain((batch) => fc.tuple(operand(batch), operand(batch), dim, dim, dim))
  .map(([a, b, m, k, n]) => ({ inputs: [of([...a, m, k]), of([...b, k, n])], build: g.matmul }));

const where: CaseArbitrary = fc.oneof(
  shapes(0)
    .chain((s) => fc.tuple(operand(s), operand(s), operand(s)))
    .map(([c, a, b]) => ({
      inputs: [of(c, "bool"), of(a), of(b)],
      build: (x: Value, y: Value, z: Value) => g.where(x, y, z),
    })),
  shapes(0).map((s) => ({
    inputs: [of(s, "bool"), of(s)],
    build: (c: Value, x: Value) => [g.where(c, x, 0), g.where(c, -1, x), g.where(c, x, x)],
  })),
);

const gather: CaseArbitrary = fc.tuple(shapes(1), shapes(0, 2)).map(([table, indices]) => ({
  inputs: [of(table), of(indices, { below: table[0]! })],
  build: g.gather,
}));

const gatherElements: CaseArbitrary = fc.tuple(shapeAndAxis(), dim).map(([{ shape, axis }, count]) => ({
  inputs: [of(shape), of(shape.with(axis, count), { below: shape.at(axis)! })],
  build: (x, indices) => g.gatherElements(x, indices, axis),
}));

const scatterAdd: CaseArbitrary = fc.tuple(shapeAndAxis(), dim).map(([{ shape, axis }, count]) => {
  const updates = shape.with(axis, count);
  return {
    inputs: [of(shape), of(updates, { below: shape.at(axis)! }), of(updates)],
    build: (base, indices, x) => g.scatterAdd(base, indices, x, axis),
  };
});

const logSoftmaxAt: CaseArbitrary = fc.tuple(shapes(0), dim).map(([rows, classes]) => ({
  inputs: [of([...rows, classes]), of([...rows, 1], { below: classes })],
  build: g.logSoftmaxAt,
}));

const split: CaseArbitrary = fc
  .tuple(shapeAndAxis(), fc.array(dim, { minLength: 1, maxLength: 4 }))
  .chain(([{ shape, axis }, sizes]) =>
    fc.record({
      shape: fc.constant(
        shape.with(
          axis,
          sizes.reduce((a, b) => a + b),
        ),
      ),
      axis: fc.constant(axis),
      sizes: fc.constant(sizes),
      // The other pieces are not used.
      used: fc.subarray([...sizes.keys()], { minLength: 1 }),
    }),
  )
  .map(({ shape, axis, sizes, used }) => ({
    inputs: [of(shape)],
    build: (x) => {
      const pieces = g.split(x, sizes, axis);
      return used.map((i) => pieces[i]!);
    },
  }));

const concat: CaseArbitrary = fc
  .tuple(shapeAndAxis(), fc.array(dim, { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([{ shape, axis }, sizes, twice]) => ({
    inputs: sizes.map((s) => of(shape.with(axis, s))),
    build: (...values) => g.concat(twice ? [...values, values[0]!] : values, axis),
  }));

const slice: CaseArbitrary = shapeAndAxis()
  .chain(({ shape, axis }) =>
    fc.tuple(fc.constant({ shape, axis }), fc.nat(shape.at(axis)! - 1)).chain(([known, start]) =>
      fc.record({
        known: fc.constant(known),
        start: fc.constant(start),
        count: fc.integer({ min: 1, max: known.shape.at(known.axis)! - start }),
      }),
    ),
  )
  .map(({ known: { shape, axis }, start, count }) => ({
    inputs: [of(shape)],
    build: (x) => g.slice(x, start, count, axis),
  }));

const transpose: CaseArbitrary = shapes(1)
  .chain((shape) => {
    const axes = [...shape.keys()];
    return fc.tuple(fc.constant(shape), fc.shuffledSubarray(axes, { minLength: axes.length }));
  })
  .map(([shape, perm]) => ({ inputs: [of(shape)], build: (x) => g.transpose(x, perm) }));

const reshape: CaseArbitrary = fc
  .tuple(shapes(0), fc.constantFrom("flat", "ones", "reversed"))
  .map(([s, to]) => {
    const target = { flat: [s.reduce((a, b) => a * b, 1)], ones: [1, ...s, 1], reversed: s.toReversed() }[
      to
    ]!;
    return { inputs: [of(s)], build: (x) => g.reshape(x, target) };
  });

const expand: CaseArbitrary = shapes(0)
  .chain((shape) => fc.tuple(fc.constant(shape), operand(shape)))
  .map(([shape, from]) => ({ inputs: [of(from)], build: (x) => g.expand(x, shape) }));

const cumSum: CaseArbitrary = fc
  .tuple(shapeAndAxis(), fc.boolean(), fc.constantFrom<Kind>("real", "integer"))
  .map(([{ shape, axis }, reverse, kind]) => ({
    inputs: [of(shape, kind)],
    build: (x) => g.cumSum(x, axis, { reverse }),
  }));

const epsilon = fc.constantFrom(1e-1, 1e-3);

const layerNorm: CaseArbitrary = fc.tuple(shapes(1), epsilon).map(([shape, eps]) => ({
  inputs: [of(shape), of(shape.slice(-1)), of(shape.slice(-1))],
  build: (x, scale, bias) => g.layerNorm(x, scale, bias, eps),
}));

const rmsNormalize: CaseArbitrary = fc
  .tuple(shapes(1), epsilon)
  .map(([shape, eps]) => ({ inputs: [of(shape)], build: (x) => g.rmsNormalize(x, eps) }));

/** Float to float passes gradients; float64 has kernels everywhere and loses nothing. */
const cast: CaseArbitrary = fc
  .tuple(shapes(0), fc.constantFrom<Kind>("real", "bool", "integer"))
  .map(([shape, kind]) => ({
    inputs: [of(shape, kind)],
    build: (x) => g.cast(g.cast(x, "float64"), "float32"),
  }));

/** a·b² with its gradient written by hand, the squares saved. */
const customVjp: CaseArbitrary = shapes(0).map((shape) => ({
  inputs: [of(shape), of(shape)],
  build: (a, b) => {
    const square = g.mul(b, b);
    return g.customVjp(g.mul(a, square), [a, b], [a, b, square], ({ saved, grad }) => {
      const [x, y, y2] = saved as [Value, Value, Value];
      return [g.mul(grad, y2), g.mul(grad, g.mul(2, g.mul(x, y)))];
    });
  },
}));

/** A block with inner values that its gradient needs, a custom rule, and two results. */
const segment: CaseArbitrary = fc.tuple(shapes(1, 2), dim).map(([shape, n]) => ({
  inputs: [of(shape), of([n, 1])],
  build: (x, w) => {
    const y = g.segment(x.graph, "first", () => g.sin(x));
    return g.segment(x.graph, "second", () => g.sumAll(g.mul(g.sumAll(y), g.tanh(w))));
  },
}));

const checkpoint: CaseArbitrary = fc.tuple(shapes(1, 2), dim).map(([shape, n]) => ({
  inputs: [of(shape), of([shape.at(-1)!, n])],
  build: (x, w) =>
    g.checkpoint(x.graph, "block", () => {
      const rows = shape.length === 1 ? g.reshape(x, [1, ...shape]) : x;
      const h = g.tanh(g.matmul(g.rmsNormalize(g.sin(rows), 1e-2), w));
      return [g.mul(h, g.exp(h)), g.silu(h)];
    }),
}));

/** Operators that gradients pass, by their export's name. */
export const DIFFERENTIABLE: Record<string, CaseArbitrary> = {
  add: binary(g.add),
  cast,
  checkpoint,
  segment,
  concat,
  cos: unary(g.cos),
  cumSum,
  customVjp,
  div: binary(g.div, { right: "nonzero" }),
  exp: unary(g.exp),
  expand,
  gather,
  gatherElements,
  geluTanh: unary(g.geluTanh),
  layerNorm,
  log: unary(g.log, "positive"),
  logSoftmax: shapes(1).map((shape) => ({ inputs: [of(shape)], build: g.logSoftmax })),
  matmul,
  matrixTranspose: shapes(2).map((shape) => ({ inputs: [of(shape)], build: g.matrixTranspose })),
  meanAll: unary(g.meanAll),
  mul: binary(g.mul),
  neg: unary(g.neg),
  reciprocal: unary(g.reciprocal, "nonzero"),
  reduceMean: reduction(g.reduceMean),
  reduceSum: reduction(g.reduceSum),
  reduceSumSquare: reduction(g.reduceSumSquare),
  reshape,
  rmsNormalize,
  logSoftmaxAt,
  scatterAdd,
  sigmoid: unary(g.sigmoid),
  silu: unary(g.silu),
  sin: unary(g.sin),
  slice,
  attend: fc
    .record({ batch: dim, m: dim, t: dim, h: dim, masked: fc.boolean() })
    .map(({ batch, m, t, h, masked }) => ({
      inputs: [of([batch, m, h]), of([batch, t, h]), of([batch, t, h])],
      build: (q: Value, k: Value, v: Value) => {
        if (!masked) return g.attend(q, k, v);
        // The last key is hidden in one row of a finer shape of the scores.
        const value = g.constant(
          q.graph,
          Array.from({ length: t }, (_, i) => (i === t - 1 && t > 1 ? -1e30 : 0.25 * i)),
          [1, 1, 1, t],
        );
        return g.attend(q, k, v, { value, shape: [batch, 1, m, t] });
      },
    })),
  softmax: shapes(1).map((shape) => ({ inputs: [of(shape)], build: g.softmax })),
  split,
  sqrt: unary(g.sqrt, "positive"),
  sub: binary(g.sub),
  sumAll: unary(g.sumAll),
  tanh: unary(g.tanh),
  transpose,
  where,
};

/** Operators that no gradient passes. */
export const NO_GRADIENT: Record<string, CaseArbitrary> = {
  and: logic(g.and),
  argMax: shapeAndAxis().map(({ shape, axis }) => ({
    inputs: [of(shape, "digits")],
    build: (x) => g.argMax(x, axis),
  })),
  equal: compare(g.equal),
  greater: compare(g.greater),
  less: compare(g.less),
  lessOrEqual: compare(g.lessOrEqual),
  maximum: binary(g.maximum),
  minimum: binary(g.minimum),
  not: shapes(0).map((shape) => ({ inputs: [of(shape, "bool")], build: g.not })),
  or: logic(g.or),
  // Over no axis it is the value itself, which is differentiable.
  reduceMax: shapeAndAxis().map(({ shape, axis }) => ({
    inputs: [of(shape)],
    build: (x) => [g.reduceMax(x, [axis], true), g.reduceMax(x, [...shape.keys()])],
  })),
  stopGradient: unary(g.stopGradient),
  zeros: unary((x) => g.zeros(x, x)),
};

/** A case as a graph: its outputs, a scalar that weighs every element of them differently, and random feeds. */
export interface Instance {
  readonly graph: g.Graph;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly loss: Value;
  readonly feeds: Map<Value, Dense>;
}

export function instantiate({ inputs: specs, build }: Case, seed: number): Instance {
  const graph = g.createGraph();
  const feeds = new Map<Value, Dense>();
  const fresh = feeder(graph, feeds, seed);
  const inputs = specs.map(fresh);
  const outputs = [build(...inputs)].flat();
  return { graph, inputs, outputs, loss: weighedSum(outputs, fresh), feeds };
}

/** Declares inputs of `graph` and puts random data for each into `feeds`. */
export function feeder(graph: g.Graph, feeds: Map<Value, Dense>, seed: number): (spec: InputSpec) => Value {
  const random = mulberry32(seed);
  return ({ shape, kind }) => {
    const value = g.input(graph, `input${graph.inputs.length}`, dtypeOf(kind), shape);
    const data = Float64Array.from({ length: shape.reduce((n, d) => n * d, 1) }, () => draw(kind, random));
    feeds.set(value, { data, shape });
    return value;
  };
}

/** A scalar to which every element of `outputs` contributes with a weight of its own. */
export function weighedSum(outputs: readonly Value[], fresh: (spec: InputSpec) => Value): Value {
  return outputs
    .map((y) => g.sumAll(g.mul(g.cast(y, "float32"), fresh(of(y.shape, "nonzero")))))
    .reduce((a, b) => g.add(a, b));
}

function dtypeOf(kind: Kind): g.DType {
  if (kind === "bool") return "bool";
  return kind === "integer" || typeof kind === "object" ? "int64" : "float32";
}

/** Floats are exact in float32, so that float64 and float32 evaluate the same point. */
function draw(kind: Kind, random: () => number): number {
  if (typeof kind === "object") return Math.floor(random() * kind.below);
  switch (kind) {
    case "bool":
      return Number(random() < 0.5);
    case "digits":
    case "integer":
      return Math.floor(random() * 5);
    case "positive":
      return Math.fround(0.5 + 2 * random());
    case "nonzero":
      return Math.fround((random() < 0.5 ? -1 : 1) * (0.5 + random()));
    case "real":
      return Math.fround(4 * random() - 2);
  }
}

/** A small seeded generator of numbers in [0, 1). */
export function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
