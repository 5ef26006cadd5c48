import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { type ModelProto, ModelProtoSchema } from "../src/generated/onnx_pb.js";
import {
  add,
  ancestors,
  argMax,
  constant,
  cos,
  createGraph,
  customVjp,
  GraphError,
  grad,
  IR_VERSION,
  input,
  layerNorm,
  matmul,
  meanAll,
  mul,
  OPSET,
  resolveAlias,
  serialize,
  sin,
  split,
  stopGradient,
  sub,
  sumAll,
  tanh,
  type Value,
  withScope,
} from "../src/index.js";
import { runModel } from "./runtime.js";

const parse = (outputs: Record<string, Value>): ModelProto => {
  const graph = Object.values(outputs)[0]!.graph;
  return fromBinary(ModelProtoSchema, serialize(graph, new Map(Object.entries(outputs))).bytes);
};

const types = (model: ModelProto): string[] => model.graph!.node.map((n) => n.opType);

/** A two-layer model with layer norm, loss and gradients. */
function model() {
  const graph = createGraph();
  const x = input(graph, "x", "float32", [5, 4]);
  const [w1, scale, bias, w2] = (
    [
      ["w1", [4, 6]],
      ["scale", [6]],
      ["bias", [6]],
      ["w2", [6, 3]],
    ] as const
  ).map(([name, shape]) => input(graph, name, "float32", shape)) as [Value, Value, Value, Value];
  const y = withScope(graph, "model", () => matmul(tanh(layerNorm(matmul(x, w1), scale, bias, 1e-6)), w2));
  const loss = meanAll(mul(y, y));
  const grads = grad(loss, [w1, scale, bias, w2]).map((v) => v!);
  return { graph, outputs: new Map([["loss", loss], ...grads.map((v, i) => [`grad${i}`, v] as const)]) };
}

describe("a model", () => {
  test("is the same bytes every time", () => {
    const { graph, outputs } = model();
    const { bytes } = serialize(graph, outputs);
    expect(serialize(graph, outputs).bytes).toEqual(bytes);
    const again = model();
    expect(serialize(again.graph, again.outputs).bytes).toEqual(bytes);
  });

  test("defines every name once and before it is read", () => {
    const { graph, outputs } = model();
    const proto = fromBinary(ModelProtoSchema, serialize(graph, outputs).bytes).graph!;
    const known = new Set([...proto.input, ...proto.initializer].map((v) => v.name));
    for (const node of proto.node) {
      for (const name of node.input) expect(known).toContain(name);
      for (const name of node.output.filter((n) => n !== "")) {
        expect(known).not.toContain(name);
        known.add(name);
      }
    }
    for (const { name } of proto.output) expect(known).toContain(name);
    expect(new Set(proto.node.map((n) => n.name)).size).toBe(proto.node.length);
  });

  test("declares its versions, its inputs and its outputs", () => {
    const graph = createGraph();
    const x = input(graph, "x", "float32", [2, 3]);
    const { bytes } = serialize(graph, new Map([["best", argMax(x, 1)]]), {
      name: "pick",
      doc: "The best one.",
    });
    const proto = fromBinary(ModelProtoSchema, bytes);
    expect(proto.irVersion).toBe(BigInt(IR_VERSION));
    expect(proto.opsetImport.map((o) => [o.domain, o.version])).toEqual([["", BigInt(OPSET)]]);
    expect([proto.docString, proto.graph!.name]).toEqual(["The best one.", "pick"]);
    const [declared] = proto.graph!.output;
    const type = declared!.type!.value;
    expect(declared!.name).toBe("best");
    expect(type.case === "tensorType" && type.value.elemType).toBe(7);
    expect(type.case === "tensorType" && type.value.shape!.dim.map((d) => d.value.value)).toEqual([2n]);
  });
});

describe("only what the outputs need is written", () => {
  const graph = createGraph();
  const x = input(graph, "x", "float32", [4]);
  const unread = input(graph, "unread", "float32", [4]);
  const wanted = mul(x, 3);
  add(sin(unread), constant(graph, [9, 9, 9, 9], [4]));

  test("nodes, inputs and constants", () => {
    const { bytes, inputs } = serialize(graph, new Map([["y", wanted]]));
    const proto = fromBinary(ModelProtoSchema, bytes);
    expect(types(proto)).toEqual(["Mul"]);
    expect(inputs).toEqual([x]);
    expect(proto.graph!.input.map((v) => v.name)).toEqual(["x"]);
    expect(proto.graph!.initializer).toHaveLength(1);
  });

  test("rules that nobody asked for leave no trace", () => {
    const w = input(graph, "w", "float32", [4]);
    const loss = sumAll(mul(tanh(x), w));
    const [dx, dw] = grad(loss, [x, w]);
    expect(types(parse({ dw: dw! }))).not.toContain("Sub");
    expect(types(parse({ dx: dx! }))).toContain("Sub");
  });

  test("aliases vanish", () => {
    const proto = parse({ y: sin(stopGradient(stopGradient(x))), z: stopGradient(x) });
    expect(types(proto)).toEqual(["Sin", "Identity"]);
    expect(proto.graph!.node.map((n) => n.input)).toEqual([["x"], ["x"]]);
  });

  test("what only a gradient reads is not part of the forward model", () => {
    const slope = cos(x);
    const y = customVjp(sin(x), [x], [slope], ({ saved, grad: g }) => [mul(g, saved[0]!)]);
    expect(types(parse({ y }))).toEqual(["Sin"]);
    expect(ancestors([y])).not.toContain(slope);
    const [dx] = grad(sumAll(y), [x]);
    expect(ancestors([dx!])).toContain(slope);
    expect(resolveAlias(stopGradient(y)).producer!.rule.type).toBe("Sin");
  });

  test("results that nothing reads are left out where they are optional", () => {
    const rows = input(graph, "rows", "float32", [2, 4]);
    const y = layerNorm(rows, x, x, 1e-6);
    expect(parse({ y }).graph!.node[0]!.output).toEqual(["y", "", ""]);
    const [first] = split(x, [1, 3], 0);
    expect(parse({ first: first! }).graph!.node[0]!.output).toHaveLength(2);
  });

  test("equal constants are stored once", () => {
    const y = add(mul(x, 2), constant(graph, [2], []));
    const z = mul(y, constant(graph, [2], [1]));
    const proto = parse({ z });
    expect(proto.graph!.initializer.map((t) => t.dims)).toEqual([[], [1n]]);
  });
});

describe("outputs", () => {
  test("are written by the node that makes them; whatever reads them reads that name", () => {
    const graph = createGraph();
    const x = input(graph, "x", "float32", [2]);
    const y = sin(x);
    const proto = parse({ y, z: cos(stopGradient(y)), again: y });
    expect(proto.graph!.node.map((n) => [n.opType, n.input, n.output])).toEqual([
      ["Sin", ["x"], ["y"]],
      ["Cos", ["y"], ["z"]],
      ["Identity", ["y"], ["again"]],
    ]);
  });

  test("may be inputs, constants and one value under two names", async () => {
    const graph = createGraph();
    const x = input(graph, "x", "float32", [2]);
    const y = sub(1, x);
    const outputs = new Map([
      ["same", x],
      ["fixed", constant(graph, [7], [1])],
      ["a", y],
      ["b", y],
    ]);
    const feeds = new Map([[x, { data: Float64Array.of(1, 2), shape: [2] }]]);
    const found = await runModel(serialize(graph, outputs), feeds);
    expect(Object.fromEntries([...found].map(([name, { data }]) => [name, [...data]]))).toEqual({
      same: [1, 2],
      fixed: [7],
      a: [0, -1],
      b: [0, -1],
    });
  });

  test("of another graph, or with the name of a value in the model, are refused", () => {
    const graph = createGraph();
    const x = input(graph, "x", "float32", [2]);
    const y = tanh(x);
    expect(() => serialize(createGraph(), new Map([["y", y]]))).toThrow(GraphError);
    expect(() => serialize(createGraph(), new Map([["y", y]]))).toThrowErrorMatchingInlineSnapshot(
      `[GraphError: serialize: output 'y' belongs to another graph]`,
    );
    expect(() => serialize(graph, new Map([["x", y]]))).toThrowErrorMatchingInlineSnapshot(
      `[GraphError: serialize: the output name 'x' is taken by a value of the graph]`,
    );
    expect(() => serialize(graph, new Map([["Tanh", y]]))).toThrowErrorMatchingInlineSnapshot(
      `[GraphError: serialize: the output name 'Tanh' is taken by a value of the graph]`,
    );
  });
});

test("time grows with the number of nodes, not its square", () => {
  const graph = createGraph();
  let x = input(graph, "x", "float32", [4, 8]);
  const weights: Value[] = [];
  while (graph.nodes.length < 8000) {
    const i = weights.length;
    const w = input(graph, `w${i}`, "float32", [8, 8]);
    weights.push(w);
    x = withScope(graph, `layer${i}`, () => add(tanh(mul(matmul(x, w), 0.5 + i)), x));
  }
  const loss = meanAll(x);
  const grads = grad(loss, weights);
  const outputs = new Map([["loss", loss], ...grads.map((v, i) => [`dw${i}`, v!] as const)]);
  const { bytes } = serialize(graph, outputs);
  expect(graph.nodes.length).toBeGreaterThan(30_000);
  expect(bytes.length).toBeGreaterThan(1e6);
}, 10_000);
