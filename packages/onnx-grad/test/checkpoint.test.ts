import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { afterAll, describe, expect, test } from "vitest";
import { ModelProtoSchema } from "../src/generated/onnx_pb.js";
import {
  add,
  checkpoint,
  createGraph,
  customVjp,
  type Graph,
  grad,
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

describe("in ONNX Runtime", () => {
  const CSE = "CommonSubexpressionElimination";

  test("recomputation survives when common subexpressions are left alone", async () => {
    const kept = join(dir, "kept.onnx");
    const merged = join(dir, "merged.onnx");
    const { model, feeds } = checkpointed;
    const found = await runModel(model, feeds, { disabledOptimizers: [CSE], optimizedModelPath: kept });
    await runModel(model, feeds, { optimizedModelPath: merged });
    expect(opCount(readFileSync(kept), "Sin")).toBe(2 * BLOCKS);
    // What the option is for: by default the second computation is merged with the first.
    expect(opCount(readFileSync(merged), "Sin")).toBe(BLOCKS);
    const expected = evaluate(checkpointed.values, feeds);
    [...found.values()].forEach((y, i) => {
      expect(y.data).toBeAllclose(expected[i]!.data, { rtol: 1e-5 });
    });
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
