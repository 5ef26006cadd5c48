/**
 * @file A reference evaluator: interprets a graph in float64, one plain loop per operator, after the ONNX
 * operator specifications (opset 21). It reads shapes from its data only and checks each result against the
 * shape that the graph declares, so it is a test of the shape rules too. Integers and bools are plain numbers;
 * floats of every width are float64, which is what finite differences need.
 */
import { ancestors, type DType, isFloat, type Node, type Value } from "../src/index.js";

/** An array in row-major order. */
export interface Dense {
  readonly data: Float64Array;
  readonly shape: readonly number[];
}

/** `feeds` gives the graph inputs; an inner value that it names is taken as given. */
export function evaluate(outputs: readonly Value[], feeds: ReadonlyMap<Value, Dense>): Dense[] {
  return evaluator(outputs)(feeds);
}

/** As `evaluate`, for many runs of one graph. */
export function evaluator(outputs: readonly Value[]): (feeds: ReadonlyMap<Value, Dense>) => Dense[] {
  const live = ancestors(outputs);
  const nodes = (outputs[0]?.graph.nodes ?? []).filter((node) => node.outputs.some((y) => live.has(y)));
  return (feeds) => {
    const known = new Map<Value, Dense>(feeds);
    const get = (x: Value): Dense => {
      const value = known.get(x) ?? (x.constant && { data: Float64Array.from(x.constant), shape: x.shape });
      if (!value) throw new Error(`evaluate: '${x.name}' was not fed`);
      return value;
    };
    for (const node of nodes) {
      if (node.outputs.every((y) => feeds.has(y))) continue;
      const { type } = node.rule;
      const kernel = KERNELS[type];
      if (!kernel) throw new Error(`evaluate: no operator ${type}`);
      // An alias reads only what it stands for; its other inputs need not be computed.
      const inputs = (type === "Alias" ? node.inputs.slice(0, 1) : node.inputs).map(get);
      const results = kernel(inputs, node);
      node.outputs.forEach((y, i) => {
        const found = results[i]!;
        if (found.shape.join() !== y.shape.join() || found.data.length !== count(y.shape)) {
          throw new Error(`evaluate: ${type} '${y.name}' is [${found.shape}], declared [${y.shape}]`);
        }
        known.set(y, found);
      });
    }
    return outputs.map(get);
  };
}

type Kernel = (inputs: readonly Dense[], node: Node) => Dense[];

const count = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1);

/** An array whose element at `index` is `f(index)`. */
function build(shape: readonly number[], f: (index: readonly number[]) => number): Dense {
  const data = new Float64Array(count(shape));
  const index = shape.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    data[i] = f(index);
    for (let axis = shape.length - 1; axis >= 0 && ++index[axis]! === shape[axis]; axis--) index[axis] = 0;
  }
  return { data, shape };
}

/** Row-major position of `index`; `index` may have more axes in front, and axes of length 1 repeat. */
function offset(shape: readonly number[], index: readonly number[]): number {
  const lead = index.length - shape.length;
  return shape.reduce((o, d, i) => o * d + (d === 1 ? 0 : index[i + lead]!), 0);
}

const at = (x: Dense, index: readonly number[]): number => x.data[offset(x.shape, index)]!;

function broadcast(...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((s) => s.length));
  return Array.from({ length: rank }, (_, i) => {
    const dims = shapes.map((s) => s[s.length - rank + i] ?? 1);
    const d = dims.find((n) => n !== 1) ?? 1;
    if (dims.some((n) => n !== 1 && n !== d))
      throw new Error(`evaluate: shapes ${shapes.join(" · ")} differ`);
    return d;
  });
}

function attribute(node: Node, name: string): number {
  const a = node.attributes[name]!;
  return "int" in a ? a.int : (a as { float: number }).float;
}

function axisOf(node: Node, x: Dense): number {
  const axis = attribute(node, "axis");
  return axis < 0 ? axis + x.shape.length : axis;
}

const unary =
  (f: (x: number) => number): Kernel =>
  ([x]) => [{ data: x!.data.map(f), shape: x!.shape }];

const elementwise =
  (f: (...values: number[]) => number): Kernel =>
  (inputs) => [
    build(broadcast(...inputs.map((x) => x.shape)), (index) => f(...inputs.map((x) => at(x, index)))),
  ];

/** Fold `x` over the axes in `inputs[1]`. */
const reduction =
  (fold: (values: readonly number[]) => number): Kernel =>
  ([x, axes], node) => {
    const over = new Set([...axes!.data].map((a) => (a < 0 ? a + x!.shape.length : a)));
    const groups = new Map<number, number[]>();
    const kept = x!.shape.map((d, i) => (over.has(i) ? 1 : d));
    build(x!.shape, (index) => {
      const key = offset(kept, index);
      groups.set(key, [...(groups.get(key) ?? []), at(x!, index)]);
      return 0;
    });
    const shape = attribute(node, "keepdims") ? kept : x!.shape.filter((_, i) => !over.has(i));
    return [{ data: Float64Array.from({ length: count(kept) }, (_, i) => fold(groups.get(i)!)), shape }];
  };

/** Apply `f` to every line of `x` along `axis`. */
function lines(x: Dense, axis: number, f: (line: readonly number[]) => readonly number[]): Dense {
  const length = x.shape[axis]!;
  return build(x.shape, (index) => {
    const line = Array.from({ length }, (_, i) => at(x, index.with(axis, i)));
    return f(line)[index[axis]!]!;
  });
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const mean = (values: readonly number[]) => sum(values) / values.length;

function softmax(line: readonly number[]): number[] {
  const top = Math.max(...line);
  const powers = line.map((v) => Math.exp(v - top));
  return powers.map((p) => p / sum(powers));
}

function logSoftmax(line: readonly number[]): number[] {
  const top = Math.max(...line);
  const scale = top + Math.log(sum(line.map((v) => Math.exp(v - top))));
  return line.map((v) => v - scale);
}

function runningSum(line: readonly number[]): number[] {
  let total = 0;
  return line.map((v) => (total += v));
}

/** A negative index counts from the end. */
function inside(index: number, length: number): number {
  const i = index < 0 ? index + length : index;
  if (!(i >= 0 && i < length)) throw new Error(`evaluate: index ${index} of ${length}`);
  return i;
}

/** What Cast does to one element: to bool by truth, to an integer toward zero. */
function castTo(dtype: DType): (x: number) => number {
  if (dtype === "bool") return (x) => Number(x !== 0);
  return isFloat(dtype) ? (x) => x : Math.trunc;
}

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);

const KERNELS: Record<string, Kernel> = {
  Alias: ([x]) => [x!],
  Identity: ([x]) => [x!],

  Neg: unary((x) => -x),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((x) => 1 / x),
  Tanh: unary(Math.tanh),
  Sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  Sin: unary(Math.sin),
  Cos: unary(Math.cos),
  Not: unary((x) => 1 - x),
  Gelu: ([x], node) => {
    if ((node.attributes["approximate"] as { string: string }).string !== "tanh")
      throw new Error("Gelu: erf");
    const gelu = (v: number) => 0.5 * v * (1 + Math.tanh(SQRT_2_OVER_PI * (v + 0.044715 * v ** 3)));
    return [{ data: x!.data.map(gelu), shape: x!.shape }];
  },
  Cast: ([x], node) => [{ data: x!.data.map(castTo(node.outputs[0]!.dtype)), shape: x!.shape }],

  Add: elementwise((a, b) => a! + b!),
  Sub: elementwise((a, b) => a! - b!),
  Mul: elementwise((a, b) => a! * b!),
  Div: (inputs, node) =>
    elementwise(isFloat(node.outputs[0]!.dtype) ? (a, b) => a! / b! : (a, b) => Math.trunc(a! / b!))(
      inputs,
      node,
    ),
  Min: elementwise(Math.min),
  Max: elementwise(Math.max),
  Where: elementwise((condition, a, b) => (condition ? a! : b!)),
  Equal: elementwise((a, b) => Number(a === b)),
  Less: elementwise((a, b) => Number(a! < b!)),
  LessOrEqual: elementwise((a, b) => Number(a! <= b!)),
  Greater: elementwise((a, b) => Number(a! > b!)),
  And: elementwise((a, b) => a! & b!),
  Or: elementwise((a, b) => a! | b!),

  ReduceSum: reduction(sum),
  ReduceSumSquare: reduction((values) => sum(values.map((v) => v * v))),
  ReduceMean: reduction(mean),
  ReduceMax: reduction((values) => Math.max(...values)),
  ArgMax: ([x], node) => {
    const axis = axisOf(node, x!);
    const top = lines(x!, axis, (line) => line.map(() => line.indexOf(Math.max(...line))));
    if (attribute(node, "keepdims")) throw new Error("ArgMax: keepdims");
    return [build(x!.shape.toSpliced(axis, 1), (index) => at(top, index.toSpliced(axis, 0, 0)))];
  },
  CumSum: ([x, axis], node) => {
    if (attribute(node, "exclusive")) throw new Error("CumSum: exclusive");
    const scan = attribute(node, "reverse")
      ? (line: readonly number[]) => runningSum(line.toReversed()).toReversed()
      : runningSum;
    return [lines(x!, inside(axis!.data[0]!, x!.shape.length), scan)];
  },
  Softmax: ([x], node) => [lines(x!, axisOf(node, x!), softmax)],
  LogSoftmax: ([x], node) => [lines(x!, axisOf(node, x!), logSoftmax)],

  LayerNormalization: ([x, scale, bias], node) => {
    const axis = axisOf(node, x!);
    if (axis !== x!.shape.length - 1) throw new Error("LayerNormalization: axis");
    const epsilon = attribute(node, "epsilon");
    const centre = lines(x!, axis, (line) => line.map(() => mean(line)));
    const inverse = lines(x!, axis, (line) => {
      const variance = mean(line.map((v) => (v - mean(line)) ** 2));
      return line.map(() => 1 / Math.sqrt(variance + epsilon));
    });
    const y = elementwise((v, m, r, s, b) => (v! - m!) * r! * s! + b!)(
      [x!, centre, inverse, scale!, bias!],
      node,
    );
    const stats = (s: Dense) => build(x!.shape.with(-1, 1), (index) => at(s, index));
    return [y[0]!, stats(centre), stats(inverse)];
  },

  MatMul: ([a, b]) => {
    const [m, k] = a!.shape.slice(-2);
    const [k2, n] = b!.shape.slice(-2);
    if (k !== k2) throw new Error(`MatMul: [${a!.shape}] × [${b!.shape}]`);
    const batch = broadcast(a!.shape.slice(0, -2), b!.shape.slice(0, -2));
    return [
      build([...batch, m!, n!], (index) => {
        const lead = index.slice(0, -2);
        const [row, column] = index.slice(-2) as [number, number];
        return sum(
          Array.from({ length: k! }, (_, j) => at(a!, [...lead, row, j]) * at(b!, [...lead, j, column])),
        );
      }),
    ];
  },

  Reshape: ([x, target]) => {
    // 0 keeps the axis of the input; −1 is not used.
    return [{ data: x!.data, shape: [...target!.data].map((d, i) => (d === 0 ? x!.shape[i]! : d)) }];
  },
  Transpose: ([x], node) => {
    const { ints: perm } = node.attributes["perm"] as { ints: readonly number[] };
    const shape = perm.map((p) => x!.shape[p]!);
    return [
      build(shape, (index) =>
        at(
          x!,
          perm.map((_, i) => index[perm.indexOf(i)]!),
        ),
      ),
    ];
  },
  Expand: ([x, target]) => [build(broadcast(x!.shape, [...target!.data]), (index) => at(x!, index))],
  Concat: (inputs, node) => {
    const axis = axisOf(node, inputs[0]!);
    // Position along the axis → the input it comes from and the position there.
    const origins = inputs.flatMap((x) => Array.from({ length: x.shape[axis]! }, (_, i) => ({ x, i })));
    return [
      build(inputs[0]!.shape.with(axis, origins.length), (index) => {
        const { x, i } = origins[index[axis]!]!;
        return at(x, index.with(axis, i));
      }),
    ];
  },
  Split: ([x, sizes], node) => {
    const axis = axisOf(node, x!);
    let start = 0;
    return [...sizes!.data].map((s) => {
      const from = start;
      start += s;
      return build(x!.shape.with(axis, s), (index) => at(x!, index.with(axis, from + index[axis]!)));
    });
  },

  Gather: ([table, indices], node) => {
    if (axisOf(node, table!) !== 0) throw new Error("Gather: axis");
    const shape = [...indices!.shape, ...table!.shape.slice(1)];
    const lead = indices!.shape.length;
    return [
      build(shape, (index) => {
        const row = inside(at(indices!, index.slice(0, lead)), table!.shape[0]!);
        return at(table!, [row, ...index.slice(lead)]);
      }),
    ];
  },
  GatherElements: ([x, indices], node) => {
    const axis = axisOf(node, x!);
    return [
      build(indices!.shape, (index) => {
        const i = inside(at(indices!, index), x!.shape[axis]!);
        return at(x!, index.with(axis, i));
      }),
    ];
  },
  ScatterElements: ([base, indices, updates], node) => {
    mustAdd(node);
    const axis = axisOf(node, base!);
    const data = base!.data.slice();
    build(updates!.shape, (index) => {
      const i = inside(at(indices!, index), base!.shape[axis]!);
      return (data[offsetExact(base!.shape, index.with(axis, i))]! += at(updates!, index));
    });
    return [{ data, shape: base!.shape }];
  },
};

function mustAdd(node: Node): void {
  if ((node.attributes["reduction"] as { string: string }).string !== "add")
    throw new Error("scatter: reduction");
}

/** As `offset`, without broadcasting. */
function offsetExact(shape: readonly number[], index: readonly number[]): number {
  return shape.reduce((o, d, i) => o * d + index[i]!, 0);
}
