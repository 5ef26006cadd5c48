import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { afterAll, describe, expect, test } from "vitest";
import { ModelProtoSchema } from "../src/generated/onnx_pb.js";
import {
  add,
  ancestors,
  checkpoint,
  createGraph,
  customVjp,
  type Graph,
  grad,
  input,
  matmul,
  meanAll,
  mul,
  rmsNormalize,
  serialize,
  sin,
  stopGradient,
  sumAll,
  tanh,
  type Value,
  withScope,
} from "../src/index.js";
import { feeder } from "./cases.js";
import { type Dense, evaluate } from "./evaluate.js";
import { runModel } from "./runtime.js";

const dir = mkdtempSync(join(tmpdir(), "insula-onnx-grad-"));
afterAll(() => rmSync(dir, { recursive: true }));

const BLOCKS = 3;

/** A chain of residual blocks, each one perhaps rematerialised; the same values whether or not. */
function chain(block: <T>(graph: Graph, name: string, body: () => T) => T) {
  const graph = createGraph();
  const feeds = new Map<Value, Dense>();
  const feed = feeder(graph, feeds, 11);
  let x = feed({ shape: [4, 3], kind: "real" });
  const weights: Value[] = [];
  for (let i = 0; i < BLOCKS; i++) {
    const w = feed({ shape: [3, 3], kind: "real" });
    weights.push(w);
    x = block(graph, `block${i}`, () => add(x, matmul(sin(tanh(rmsNormalize(x, 1e-6))), w)));
  }
  const loss = meanAll(mul(x, x));
  const grads = grad(loss, weights).map((v) => v!);
  const outputs = new Map([["loss", loss], ...grads.map((v, i) => [`dw${i}`, v] as const)]);
  return { graph, feeds, model: serialize(graph, outputs), values: [loss, ...grads] };
}

const plain = chain((_, __, body) => body());
const checkpointed = chain(checkpoint);

const opCount = (bytes: Uint8Array, type: string, name = "") =>
  fromBinary(ModelProtoSchema, bytes).graph!.node.filter((n) => n.opType === type && n.name.startsWith(name))
    .length;

test("gradients are the same with and without", () => {
  const expected = evaluate(plain.values, plain.feeds);
  const found = evaluate(checkpointed.values, checkpointed.feeds);
  expect(found).toEqual(expected);
});

test("the backward pass computes the inner values again", () => {
  expect(opCount(plain.model.bytes, "Sin")).toBe(BLOCKS);
  expect(opCount(checkpointed.model.bytes, "Sin")).toBe(2 * BLOCKS);
  for (let i = 0; i < BLOCKS; i++) {
    expect(opCount(checkpointed.model.bytes, "Tanh", `grad/recompute/block${i}/`)).toBe(1);
    // No gradient reads the block's product: it is not made twice.
    expect(opCount(checkpointed.model.bytes, "MatMul", `grad/recompute/block${i}/`)).toBe(0);
  }
});

test("of the first pass, only what a block returns is read outside of it", () => {
  const { nodes } = checkpointed.graph;
  const inner = new Set(nodes.filter((n) => n.block).flatMap((n) => n.outputs));
  const read = new Set(nodes.filter((n) => !n.block).flatMap((n) => n.inputs.filter((x) => inner.has(x))));
  expect([...read].map((x) => x.producer!.rule.type)).toEqual(Array(BLOCKS).fill("Add"));
});

test("no block is computed again before the gradient has come down to it", () => {
  const { graph } = checkpointed;
  const gradients = graph.nodes.flatMap((n) => n.outputs).filter((y) => /^grad\/(?!recompute)/.test(y.name));
  for (let i = 0; i < BLOCKS; i++) {
    const recomputed = graph.nodes.filter((n) => n.outputs[0]!.name.startsWith(`grad/recompute/block${i}/`));
    const late = recomputed.filter((n) => /Mul|ReduceMean|Tanh|Sin/.test(n.rule.type));
    expect(late.length).toBeGreaterThan(3);
    // What the later blocks' backward passes made is an ancestor of all that this block computes again.
    const incoming = gradients.filter((g) => late.every((n) => ancestors(n.inputs).has(g)));
    expect(incoming.length).toBeGreaterThan(i === BLOCKS - 1 ? 0 : 5);
  }
});

test("a block waits for the gradients of later biases, which are leaves", () => {
  const graph = createGraph();
  const feeds = new Map<Value, Dense>();
  const feed = feeder(graph, feeds, 4);
  let x = feed({ shape: [4, 3], kind: "real" });
  const biases: Value[] = [];
  for (let i = 0; i < BLOCKS; i++) {
    const bias = feed({ shape: [3], kind: "real" });
    biases.push(bias);
    x = checkpoint(graph, `block${i}`, () => add(sin(tanh(x)), bias));
  }
  const grads = grad(meanAll(mul(x, x)), biases).map((g) => g!);
  const again = (i: number) =>
    graph.nodes.find((n) => n.outputs[0]!.name.startsWith(`grad/recompute/block${i}/Tanh`))!;
  expect(ancestors(again(0).outputs).has(grads[2]!)).toBe(true);
  expect(ancestors(again(0).outputs).has(grads[1]!)).toBe(true);
  expect(ancestors(again(0).outputs).has(grads[0]!)).toBe(false);
});

describe("in ONNX Runtime", () => {
  test("with every optimisation, the recomputation stays and changes no bit", async () => {
    const path = join(dir, "kept.onnx");
    const found = await runModel(checkpointed.model, checkpointed.feeds, { optimizedModelPath: path });
    const expected = await runModel(plain.model, plain.feeds);
    expect(opCount(readFileSync(path), "Sin")).toBe(2 * BLOCKS);
    expect(found).toEqual(expected);
  });

  test("a gradient that is not a number does not spoil the values that are computed again", async () => {
    const graph = createGraph();
    const [x, w] = [input(graph, "x", "float32", [3]), input(graph, "w", "float32", [3])];
    const factor = input(graph, "factor", "float32", [3]);
    const y = checkpoint(graph, "block", () => sin(tanh(mul(x, w))));
    grad(sumAll(mul(y, factor)), [w]);
    const again = graph.nodes.find((n) => n.outputs[0]!.name === "grad/recompute/block/Tanh")!.outputs[0]!;
    const first = graph.nodes.find((n) => n.outputs[0]!.name === "Tanh")!.outputs[0]!;
    const model = serialize(
      graph,
      new Map([
        ["first", first],
        ["again", again],
      ]),
    );
    const dense = (...data: number[]): Dense => ({ data: Float64Array.from(data), shape: [3] });
    const feeds = new Map([
      [x, dense(1, -2, 0.3)],
      [w, dense(0.5, 2, 1)],
      [factor, dense(Number.NaN, Number.POSITIVE_INFINITY, 0)],
    ]);
    const found = await runModel(model, feeds);
    expect(found.get("again")).toEqual(found.get("first"));
  });
});

describe("blocks", () => {
  const start = () => {
    const graph = createGraph();
    const feeds = new Map<Value, Dense>();
    const feed = feeder(graph, feeds, 2);
    return { graph, feeds, x: feed({ shape: [3], kind: "real" }), w: feed({ shape: [3], kind: "real" }) };
  };

  test("inside blocks belong to the outer one", () => {
    const { graph, x } = start();
    const y = checkpoint(graph, "outer", () => checkpoint(graph, "inner", () => sin(tanh(x))));
    expect(graph.nodes.map((n) => n.block!.name)).toEqual(["outer", "outer"]);
    expect(cosines(y, x)).toEqual(["grad/recompute/outer/Tanh"]);
  });

  const cosines = (y: Value, x: Value): string[] => {
    grad(sumAll(y), [x]);
    const { nodes } = x.graph;
    return nodes.filter((n) => n.rule.type === "Cos").map((n) => n.inputs[0]!.name);
  };

  test("end when their body throws", () => {
    const { graph, x } = start();
    expect(() =>
      checkpoint(graph, "broken", () => {
        throw new Error("stop");
      }),
    ).toThrow("stop");
    expect(sin(x).producer!.block).toBeUndefined();
  });

  test("that no gradient needs are not computed again", () => {
    const { graph, x, w } = start();
    const y = checkpoint(graph, "frozen", () => stopGradient(sin(tanh(x))));
    const nodes = graph.nodes.length;
    const [dw] = grad(sumAll(mul(y, w)), [w]);
    expect(dw).toBeDefined();
    expect(graph.nodes.slice(nodes).filter((n) => n.rule.type === "Sin")).toEqual([]);
  });

  test("hand the recomputed values to a custom rule", () => {
    const { graph, x } = start();
    const seen: string[] = [];
    const y = checkpoint(graph, "block", () => {
      const t = withScope(graph, "inner", () => tanh(x));
      return customVjp(sin(t), [x], [t], ({ saved, grad: g }) => {
        seen.push(saved[0]!.name);
        return [mul(g, saved[0]!)];
      });
    });
    grad(sumAll(y), [x]);
    expect(seen).toEqual(["grad/recompute/block/Tanh"]);
  });
});
