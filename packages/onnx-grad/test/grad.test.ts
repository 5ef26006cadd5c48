import { describe, expect, test } from "vitest";
import {
  add,
  addOp,
  cast,
  concat,
  constant,
  cost,
  createGraph,
  cumSum,
  customVjp,
  equal,
  exp,
  expand,
  type Graph,
  GraphError,
  gather,
  gatherElements,
  grad,
  input,
  layerNorm,
  matmul,
  meanAll,
  mul,
  not,
  reduceSum,
  reshape,
  scatterAdd,
  segment,
  sin,
  slice,
  split,
  stopGradient,
  sumAll,
  tanh,
  transpose,
  type Value,
  where,
  withScope,
} from "../src/index.js";
import { feeder } from "./cases.js";
import { type Dense, evaluate } from "./evaluate.js";
import { expectGradients } from "./finite-difference.js";

/** A graph with float inputs of the given shapes, fed at random. */
function setup(...shapes: number[][]): { graph: Graph; values: Value[]; feeds: Map<Value, Dense> } {
  const graph = createGraph();
  const feeds = new Map<Value, Dense>();
  const feed = feeder(graph, feeds, 5);
  return { graph, values: shapes.map((shape) => feed({ shape, kind: "real" })), feeds };
}

describe("stopGradient", () => {
  test("a parameter behind it has no gradient and adds no node", () => {
    const { graph, values } = setup([3, 2], [2, 2], [2]);
    const [x, before, after] = values as [Value, Value, Value];
    const hidden = stopGradient(tanh(matmul(x, before)));
    const loss = meanAll(mul(hidden, after));
    const nodes = graph.nodes.length;
    expect(grad(loss, [before])).toEqual([undefined]);
    expect(graph.nodes.length).toBe(nodes);

    const [none, some] = grad(loss, [before, after]);
    expect(none).toBeUndefined();
    expect(some!.shape).toEqual([2]);
    // The backward pass ends at the product with `after`: no Tanh, no MatMul.
    const added = graph.nodes.slice(nodes).map((node) => node.rule.type);
    expect(added).toContain("Mul");
    expect(added).not.toContain("MatMul");
    expect(added).not.toContain("Tanh");
  });

  test("keys and values that cross it leave the other path's gradient whole", () => {
    const { values, feeds } = setup([3, 2], [2, 2], [2, 2]);
    const [x, prefix, suffix] = values as [Value, Value, Value];
    const kv = matmul(x, prefix);
    const own = meanAll(sin(kv));
    const crossing = meanAll(mul(matmul(x, suffix), stopGradient(kv)));
    expect(grad(crossing, [prefix])).toEqual([undefined]);
    const [joint] = grad(add(own, crossing), [prefix]);
    const [alone] = grad(own, [prefix]);
    const [a, b] = evaluate([joint!, alone!], feeds);
    expect(a!.data).toEqual(b!.data);
    expectGradients(add(own, crossing), [prefix, suffix], feeds);
  });
});

describe("what flows where", () => {
  test("uses of one value add up", () => {
    const { values, feeds } = setup([4]);
    const x = values[0]!;
    const loss = sumAll(add(add(mul(x, x), x), add(sin(x), exp(tanh(x)))));
    const [dx] = expectGradients(loss, [x], feeds);
    expect(dx!.producer!.rule.type).toBe("Add");
  });

  test("results stand in the order of wrt, absent ones between them", () => {
    const { graph, values } = setup([2], [2], [2]);
    const [x, unused, y] = values as [Value, Value, Value];
    const indices = input(graph, "indices", "int64", [1]);
    const loss = sumAll(mul(gather(x, indices), y));
    const [dy, none, alsoNone, dx, again] = grad(loss, [y, unused, indices, x, y]);
    expect([none, alsoNone]).toEqual([undefined, undefined]);
    expect([dy!.shape, dx!.shape]).toEqual([[2], [2]]);
    expect(again).toBe(dy);
  });

  test("with respect to an inner value and to the loss itself", () => {
    const { values, feeds } = setup([3]);
    const inner = sin(values[0]!);
    const loss = sumAll(mul(inner, inner));
    const grads = grad(loss, [inner, loss]);
    const [dInner, dLoss, at] = evaluate([...grads.map((v) => v!), inner], feeds);
    expect(dInner!.data).toBeAllclose(
      at!.data.map((v) => 2 * v),
      { rtol: 1e-15 },
    );
    expect([...dLoss!.data]).toEqual([1]);
  });

  test("a cast to integers and back passes nothing", () => {
    const { values } = setup([3]);
    const rounded = cast(cast(values[0]!, "int32"), "float32");
    expect(grad(sumAll(mul(rounded, 2)), values)).toEqual([undefined]);
  });

  test("only paths to wrt are differentiated", () => {
    const { graph, values } = setup([2, 2], [2, 2]);
    const [frozen, w] = values as [Value, Value];
    const deep = [1, 2, 3, 4].reduce((x) => tanh(matmul(x, x)), frozen);
    const loss = sumAll(mul(deep, w));
    const nodes = graph.nodes.length;
    grad(loss, [w]);
    expect(graph.nodes.slice(nodes).map((node) => node.rule.type)).not.toContain("MatMul");
  });
});

describe("customVjp", () => {
  test("its rule replaces what made the value", () => {
    const { values, feeds } = setup([5]);
    const x = values[0]!;
    // A straight-through estimator: rounded forward, identity backward.
    const rounded = customVjp(cast(cast(x, "int32"), "float32"), [x], [], ({ grad: g }) => [g]);
    const [dx] = grad(sumAll(mul(rounded, 3)), [x]);
    const [found] = evaluate([dx!], feeds);
    expect([...found!.data]).toEqual([3, 3, 3, 3, 3]);
  });

  test("an input that it gives no gradient has none, and what it does not name is not reached", () => {
    const { values } = setup([2], [2], [2]);
    const [a, b, hidden] = values as [Value, Value, Value];
    const y = customVjp(mul(mul(a, b), hidden), [a, b], [], ({ grad: g }) => [undefined, g]);
    const [da, db, dHidden] = grad(sumAll(y), [a, b, hidden]);
    expect([da, dHidden]).toEqual([undefined, undefined]);
    expect(db).toBeDefined();
  });

  test("gradients beyond its inputs do not leak into the saved values", () => {
    const { values } = setup([2], [2]);
    const [a, saved] = values as [Value, Value];
    const y = customVjp(mul(a, saved), [a], [saved], ({ grad: g }) => [g, g]);
    expect(grad(sumAll(y), [a, saved])[1]).toBeUndefined();
  });
});

describe("names", () => {
  test("are unique, readable and carry their scope", () => {
    const graph = createGraph();
    const taken = input(graph, "Add_1", "float32", [2]);
    const sums = [1, 2, 3].map((c) => add(taken, c));
    const scoped = withScope(graph, "layer0", () => withScope(graph, "mlp", () => tanh(sums[0]!)));
    expect(sums.map((v) => v.name)).toEqual(["Add", "Add_2", "Add_3"]);
    expect(scoped.name).toBe("layer0/mlp/Tanh");
    const [dx] = grad(sumAll(scoped), [taken]);
    expect(dx!.name).toMatch(/^grad\//);
    const names = graph.nodes.flatMap((node) => node.outputs.map((y) => y.name));
    expect(new Set(names).size).toBe(names.length);
  });

  test("a scope ends when its body throws", () => {
    const graph = createGraph();
    const x = input(graph, "x", "float32", [2]);
    expect(() => withScope(graph, "broken", () => reshape(x, [3]))).toThrow(GraphError);
    expect(tanh(x).name).toBe("Tanh");
  });
});

describe("mistakes are refused where they are made", () => {
  const { graph, values } = setup([2, 3], [4, 3], [3], []);
  const [x, y, row, loss] = values as [Value, Value, Value, Value];
  const ids = input(graph, "ids", "int64", [2, 1]);
  const elsewhere = input(createGraph(), "elsewhere", "float32", [3]);

  const message = (act: () => unknown): string => {
    try {
      act();
    } catch (error) {
      if (error instanceof GraphError) return `${error.code} · ${error.message}`;
      throw error;
    }
    return "nothing was thrown";
  };

  test("shapes", () => {
    const wrong = {
      broadcast: () => add(x, y),
      matmul: () => matmul(x, y),
      reshape: () => reshape(x, [4]),
      expand: () => expand(row, [3, 2]),
      transpose: () => transpose(x, [0, 0]),
      concat: () => concat([x, row], 0),
      split: () => split(x, [1, 1], 1),
      slice: () => slice(x, 2, 2, 1),
      "empty slice": () => slice(x, 1, 0, 1),
      axis: () => reduceSum(x, [2]),
      "axis twice": () => reduceSum(x, [1, -1]),
      scan: () => cumSum(row, 1),
      constant: () => constant(graph, [1, 2, 3], [2]),
      layerNorm: () => layerNorm(y, row, loss, 1e-6),
      gatherElements: () => gatherElements(y, ids, 1),
      scatterAdd: () => scatterAdd(y, ids, y, 0),
    };
    expect(Object.entries(wrong).map(([name, act]) => `${name}: ${message(act)}`)).toMatchInlineSnapshot(`
      [
        "broadcast: graph/broadcast · Add: shapes [2, 3] and [4, 3] do not broadcast",
        "matmul: graph/shape · MatMul: float32[2, 3] × float32[4, 3]",
        "reshape: graph/shape · Reshape: [2, 3] does not fill [4]",
        "expand: graph/broadcast · Expand: shapes [3] and [3, 2] do not broadcast",
        "transpose: graph/axes · Transpose: [0, 0] does not permute the axes of [2, 3]",
        "concat: graph/shape · Concat: float32[3] does not join float32[2, 3] along axis 0",
        "split: graph/shape · Split: pieces [1, 1] do not sum to axis 1 of [2, 3]",
        "slice: graph/shape · slice: 2…4 is empty or outside axis 1 of [2, 3]",
        "empty slice: graph/shape · slice: 1…1 is empty or outside axis 1 of [2, 3]",
        "axis: graph/axes · ReduceSum: axes [2] of [2, 3]",
        "axis twice: graph/axes · ReduceSum: axes [1, -1] of [2, 3]",
        "scan: graph/axes · CumSum: axes [1] of [3]",
        "constant: graph/shape · constant: 3 elements do not fill shape [2]",
        "layerNorm: graph/shape · LayerNormalization: 'input3' is [], expected [3]",
        "gatherElements: graph/shape · GatherElements: indices [2, 1] and [4, 3] differ outside axis 1",
        "scatterAdd: graph/shape · ScatterElements: indices [2, 1] and updates float32[4, 3] do not fit float32[4, 3] along axis 0",
      ]
    `);
  });

  test("types", () => {
    const wrong = {
      add: () => add(x, cast(x, "float64")),
      where: () => where(x, x, x),
      compare: () => equal(x, ids),
      not: () => not(x),
      indices: () => gather(y, row),
      fraction: () => mul(ids, 0.5),
    };
    expect(Object.entries(wrong).map(([name, act]) => `${name}: ${message(act)}`)).toMatchInlineSnapshot(`
      [
        "add: graph/dtype · Add: 'input0' is float32, 'Cast' is float64",
        "where: graph/dtype · Where: expected bool and two of one type, found float32, float32, float32",
        "compare: graph/dtype · Equal: expected two of one type, found float32 and int64",
        "not: graph/dtype · Not: expected bool, found float32",
        "indices: graph/dtype · Gather: 'input2' is float32, expected int64",
        "fraction: graph/dtype · constant: 0.5 is not of type int64",
      ]
    `);
  });

  test("graphs, names and gradients", () => {
    const bent = (type: string, gradient: (g: Value) => Value) =>
      addOp({ type, vjp: ({ grads: [g] }) => [gradient(g!)] }, [x], "float32", [2, 3]);
    const wrong = {
      "foreign value": () => add(row, elsewhere),
      "foreign parameter": () => grad(loss, [elsewhere]),
      "name taken": () => input(graph, "ids", "float32", []),
      "loss is no scalar": () => grad(x, [x]),
      "loss is no float": () => grad(reshape(cast(slice(slice(x, 0, 1, 0), 0, 1, 1), "int32"), []), [x]),
      "rule of wrong shape": () => grad(sumAll(bent("Bent", (g) => reduceSum(g, [0]))), [x]),
      "rule of wrong type": () => grad(sumAll(bent("Bent", (g) => cast(g, "float64"))), [x]),
    };
    expect(Object.entries(wrong).map(([name, act]) => `${name}: ${message(act)}`)).toMatchInlineSnapshot(`
      [
        "foreign value: graph/foreign · Add: 'elsewhere' belongs to another graph",
        "foreign parameter: graph/foreign · grad: 'elsewhere' belongs to another graph than the loss",
        "name taken: graph/name · input: the name 'ids' is taken",
        "loss is no scalar: grad/loss · grad: the loss must be a float scalar, 'input0' is float32[2, 3]",
        "loss is no float: grad/loss · grad: the loss must be a float scalar, 'Reshape' is int32[]",
        "rule of wrong shape: grad/rule · Bent: gradient of 'input0' is float32[3], expected float32[2, 3]",
        "rule of wrong type: grad/rule · Bent: gradient of 'input0' is float64[2, 3], expected float32[2, 3]",
      ]
    `);
  });
});

describe("finish", () => {
  test("gets every complete gradient once, and its result is the gradient", () => {
    const { graph, values, feeds } = setup([3, 4], [4, 4], [4], [2]);
    const [x, w, b, unread] = values as [Value, Value, Value, Value];
    const loss = meanAll(tanh(add(matmul(tanh(matmul(x, w)), w), b))); // w is read twice
    const before = [w, b].map((p) => input(graph, `sum/${p.name}`, "float32", p.shape));
    const elements = (p: Value) => p.shape.reduce((n, d) => n * d, 1);
    for (const sum of before)
      feeds.set(sum, {
        data: Float64Array.from({ length: elements(sum) }, (_, i) => i),
        shape: [...sum.shape],
      });
    const finished: Value[] = [];
    const sums = grad(loss, [w, b, unread], {
      finish(gradient, of) {
        finished.push(of);
        return add(before[[w, b].indexOf(of)]!, gradient);
      },
    });
    expect(new Set(finished)).toEqual(new Set([w, b]));
    expect(finished).toHaveLength(2);
    expect(sums[2]).toBeUndefined();
    const plain = grad(loss, [w, b]);
    const found = evaluate([sums[0]!, sums[1]!, plain[0]!, plain[1]!], feeds);
    for (const i of [0, 1])
      expect(Array.from(found[i]!.data)).toEqual(Array.from(found[2 + i]!.data, (g, at) => at + g));
  });

  test("segments wait for the result: no gradient is kept to the end for it", () => {
    const peak = (accumulate: boolean) => {
      const graph = createGraph();
      const weights = Array.from({ length: 12 }, (_, i) => input(graph, `w${i}`, "float32", [64, 64]));
      let x = input(graph, "x", "float32", [8, 64]);
      weights.forEach((w, i) => {
        x = segment(graph, `layer${i}`, () => tanh(matmul(x, w)));
      });
      const sums = grad(meanAll(x), weights, {
        finish: (gradient, { name, shape }) =>
          // A scale between keeps the runtime from writing the gradient itself to the result.
          accumulate ? add(input(graph, `sum/${name}`, "float32", shape), sin(gradient)) : gradient,
      });
      return cost(
        graph,
        sums.map((g) => g!),
      ).peak.bytes;
    };
    const gradient = 4 * 64 * 64;
    expect(peak(true) - peak(false)).toBeLessThan(4 * gradient);
  });
});
