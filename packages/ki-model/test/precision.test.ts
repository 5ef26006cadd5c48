import { ancestors, serialize } from "@insula/onnx-grad";
import { createSession, type Tensor, tensor } from "@insula/ort-session";
import { describe, expect, test } from "vitest";
import {
  buildTrainingModel,
  pickFeeds,
  type TrainingModel,
  toGraphParams,
  trainFeeds,
} from "../src/index.js";
import { emulateBfloat16 } from "./emulate-bfloat16.js";
import { testBatch, testConfig, testParams } from "./fixtures.js";

const config = testConfig();
const params = testParams(config);
const data = testBatch(config);
const LOSS_SCALE = 1024;

async function run({ context, outputs }: Pick<TrainingModel, "context" | "outputs">, graph = context.graph) {
  const session = await createSession(serialize(graph, outputs).bytes);
  try {
    const weights = toGraphParams(context.specs, params);
    const feeds = pickFeeds(
      session.inputs,
      { ...trainFeeds(data.batch, data.draws), loss_scale: tensor(Float32Array.of(LOSS_SCALE), []) },
      (name) => weights.has(name),
    );
    for (const { name } of session.inputs) {
      const weight = weights.get(name);
      if (weight) feeds[name] = tensor(weight.data, weight.shape);
    }
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}

/** Angle between two gradients and ratio of their lengths. */
function compare(a: Tensor, b: Tensor): { cosine: number; ratio: number } {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.data.length; i++) {
    const [x, y] = [Number(a.data[i]), Number(b.data[i])];
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  return { cosine: dot / Math.sqrt(aa * bb), ratio: Math.sqrt(aa / bb) };
}
const exact = await run(buildTrainingModel(config, { batchSize: 2 }));
/** Keys' biases shift every score of a query alike: their gradient is zero but for rounding. */
const gradients = Object.keys(exact).filter(
  (name) => name.startsWith("grad/") && !name.includes("MultiHeadDotProductAttention_0/key/bias"),
);

function expectClose(out: Record<string, Tensor>, bits: number, scale = 1) {
  const unit = 2 ** -bits;
  for (const name of ["total", "fast_loss", "action_loss"]) {
    const [a, b] = [Number(out[name]!.data[0]), Number(exact[name]!.data[0])];
    expect(Math.abs(a / b - 1), name).toBeLessThan(2 * unit);
    // Not the float32 graph under another name.
    if (name === "total") expect(a).not.toBe(b);
  }
  for (const name of gradients) {
    const { cosine, ratio } = compare(out[name]!, exact[name]!);
    expect(cosine, name).toBeGreaterThan(1 - 2 * unit);
    expect(Math.abs(ratio / scale - 1), name).toBeLessThan(16 * unit);
    expect(out[name]!.type).toBe("float32");
  }
}

describe("16-bit compute stays close to float32", () => {
  test("float16, with a scaled loss", async () => {
    const built = buildTrainingModel(config, { batchSize: 2, computeType: "float16" });
    expectClose(await run(built), 10, LOSS_SCALE);
  });

  test("bfloat16, rounded value by value", async () => {
    const { context, outputs } = buildTrainingModel(config, { batchSize: 2, computeType: "bfloat16" });
    const emulated = emulateBfloat16(context.graph, outputs);
    expect(emulated.rounded).toBeGreaterThan(500);
    expectClose(await run({ context, outputs: emulated.outputs }, emulated.graph), 7);
  });

  test("float32 is the graph without any of it", () => {
    const { context, outputs } = buildTrainingModel(config, { batchSize: 2, computeType: "float32" });
    const plain = buildTrainingModel(config, { batchSize: 2 });
    expect(serialize(context.graph, outputs).bytes).toEqual(
      serialize(plain.context.graph, plain.outputs).bytes,
    );
  });
});

describe("what is float32 whatever is computed in", () => {
  const { context, outputs } = buildTrainingModel(config, { batchSize: 2, computeType: "bfloat16" });
  const live = ancestors(outputs.values());
  const nodes = context.graph.nodes.filter((n) => n.outputs.some((y) => live.has(y)));

  test("softmax, norms and rotary positions", () => {
    for (const type of ["Softmax", "LogSoftmax", "LayerNormalization", "Reciprocal", "Sin", "Cos"]) {
      const found = nodes.filter((n) => n.rule.type === type);
      expect(found.length, type).toBeGreaterThan(0);
      for (const node of found) expect(node.outputs[0]!.dtype, node.outputs[0]!.name).toBe("float32");
    }
  });

  test("parameters, gradients, losses", () => {
    for (const { name, dtype } of [...context.graph.inputs, ...outputs.values()])
      expect(["float32", "int32", "bool", "uint8"], name).toContain(dtype);
  });

  test("while the blocks' products are not", () => {
    const products = nodes.filter((n) => n.rule.type === "MatMul");
    const short = products.filter((n) => n.outputs[0]!.dtype === "bfloat16");
    expect(short.length / products.length).toBeGreaterThan(0.6);
  });
});

describe("frozen parameters", () => {
  const freeze = [".*PaliGemma/img.*", "PaliGemma/llm/embedder/.*"];

  test("are bfloat16 inputs without a gradient; the others' gradients stay", async () => {
    const built = buildTrainingModel(config, { batchSize: 2, freeze });
    const frozen = built.context.graph.inputs.filter((x) => x.dtype === "bfloat16").map((x) => x.name);
    expect(frozen).toHaveLength(built.context.specs.filter((s) => /img|embedder/.test(s.path)).length);
    for (const name of frozen) expect(built.outputs.has(`grad/${name}`)).toBe(false);
    const emulated = emulateBfloat16(built.context.graph, built.outputs);
    const out = await run({ context: built.context, outputs: emulated.outputs }, emulated.graph);
    const left = gradients.filter((name) => !/img|embedder/.test(name));
    expect(
      Object.keys(out)
        .filter((name) => name.startsWith("grad/"))
        .sort(),
    ).toEqual([...left].sort());
    for (const name of left) expect(compare(out[name]!, exact[name]!).cosine, name).toBeGreaterThan(0.99);
  });

  test("stored as float32 they change nothing but what is trained", async () => {
    const out = await run(buildTrainingModel(config, { batchSize: 2, freeze, frozenType: "float32" }));
    for (const [name, { data }] of Object.entries(out)) {
      expect(data as Float32Array, name).toBeAllclose(exact[name]!.data as Float32Array, {
        rtol: 1e-5,
        atol: 1e-6,
      });
    }
    expect(Object.keys(out).length).toBeLessThan(Object.keys(exact).length);
  });

  test("a pattern that matches nothing, or is none, is refused", () => {
    const build = (pattern: string) => () => buildTrainingModel(config, { batchSize: 2, freeze: [pattern] });
    expect(build("llm")).toThrowErrorMatchingInlineSnapshot(
      `[InsulaError: freeze: 'llm' matches none of the parameters, for example not 'PaliGemma/img/embedding/kernel'; a pattern is compared with the whole path]`,
    );
    expect(build("(")).toThrowErrorMatchingInlineSnapshot(
      `[InsulaError: freeze: '(': Invalid regular expression: /^(?:()$/u: Unterminated group]`,
    );
  });
});
