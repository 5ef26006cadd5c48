/**
 * @file Every model of every artifact consists of operators that both the CPU and the CUDA provider have kernels
 * for, by element type: nothing falls back to the CPU inside a step.
 */
import { readFileSync } from "node:fs";
import type { ModelConfig } from "@insula/model-types";
import { add, addOp, createGraph, greater, input, maximum, serialize, type Value } from "@insula/onnx-grad";
import { createSession } from "@insula/ort-session";
import { describe, expect, test } from "vitest";
import {
  buildArtifact,
  buildFastDecodeModel,
  buildFastPrefixModel,
  type InferenceOptions,
  type PrecisionOptions,
  serializeModel,
} from "../src/index.js";
import { checkKernels, KERNELS, lacking, problemText } from "./cuda-kernels/check-kernels.js";
import { testConfig } from "./fixtures.js";
import { both, loraConfig } from "./lora-config.js";

const { vlm, expert } = loraConfig({ lora: both(2, { alpha: 1 }) });

const TYPES: Record<string, Partial<ModelConfig>> = {
  pi0: { pi05: false, knowledgeInsulation: false },
  pi05: { knowledgeInsulation: false },
  pi05_ki: {},
  "pi05_ki two-pass": { kiForm: "two-pass" },
  "pi05_ki without maskPadded": { maskPadded: false },
  pi0_fast: { pi05: false, knowledgeInsulation: false, pi0Fast: true },
  "pi05_ki with adapters": { vlm, expert },
};

/** All models of a type, by name. */
function models(
  changes: Partial<ModelConfig>,
  rematerialize: boolean,
  precision: PrecisionOptions = {},
  parts = 1,
): Record<string, Uint8Array> {
  const config = testConfig(changes);
  const { models: made } = buildArtifact(config, {
    ...precision,
    batchSize: 2,
    tokenBuckets: [12, 16],
    lossRows: 8,
    rematerialize,
    optimizer: { emaDecay: 0.99, clip: "group", noWeightDecay: [".*scale"] },
    ...(parts > 1 ? { gradientAccumulation: parts, flowDraws: changes.pi0Fast ? 1 : 3 } : {}),
  });
  if (!config.pi0Fast) return made;
  const inference: InferenceOptions = { ...precision, batchSize: 1 };
  const prefix = serializeModel(buildFastPrefixModel(config, inference), "fast_prefix_model").bytes;
  const decode = serializeModel(
    buildFastDecodeModel(config, { ...inference, cacheLength: 40 }),
    "fast_decode_model",
  ).bytes;
  return { ...made, fast_prefix_model: prefix, fast_decode_model: decode };
}

describe.each(Object.keys(TYPES))("%s", (type) => {
  test.each([false, true])("every node has a CPU and a CUDA kernel (rematerialize: %s)", (rematerialize) => {
    const found: string[] = [];
    for (const [name, bytes] of Object.entries(models(TYPES[type]!, rematerialize)))
      for (const provider of ["cpu", "cuda"] as const)
        found.push(...checkKernels(bytes, provider).map((p) => `${name} ${provider}: ${problemText(p)}`));
    expect(found).toEqual([]);
  });
});

test.each(Object.keys(TYPES))("every node of %s in micro-batches has a CPU and a CUDA kernel", (type) => {
  const made = models(TYPES[type]!, true, {}, 2);
  expect(Object.keys(made)).toContain("reset_model");
  for (const bytes of Object.values(made))
    for (const provider of ["cpu", "cuda"] as const)
      expect(checkKernels(bytes, provider).map(problemText)).toEqual([]);
});

describe.each(["bfloat16", "float16"] as const)("computing in %s", (computeType) => {
  test.each(Object.keys(TYPES))("every node of %s has a CUDA kernel", (type) => {
    const found: string[] = [];
    for (const freeze of [[], ["PaliGemma/.*"]])
      for (const rematerialize of [false, true])
        for (const [name, bytes] of Object.entries(
          models(TYPES[type]!, rematerialize, { computeType, ...(type === "pi0_fast" ? {} : { freeze }) }),
        ))
          found.push(...checkKernels(bytes, "cuda").map((p) => `${name}: ${problemText(p)}`));
    expect(found).toEqual([]);
  });
});

test("the table is of the ONNX Runtime that is depended on", () => {
  const manifest = new URL("../../ort-session/package.json", import.meta.url);
  const { dependencies } = JSON.parse(readFileSync(manifest, "utf8"));
  expect(KERNELS.version).toBe(dependencies["onnxruntime-node"]);
});

/** A model of one node over inputs `[4]`. */
function oneNode(
  dtype: "float32" | "int32" | "int64" | "bool",
  make: (x: Value, y: Value) => Value,
): Uint8Array {
  const graph = createGraph();
  const value = make(input(graph, "x", dtype, [4]), input(graph, "y", dtype, [4]));
  return serialize(graph, new Map([["z", value]])).bytes;
}

test("a node without a kernel is named with its types", () => {
  const compare = oneNode("bool", (x, y) => greater(x, y));
  expect(checkKernels(compare, "cuda").map(problemText)).toEqual([
    expect.stringMatching(/^Greater\(bool, bool\): no cuda kernel \(1 nodes, the first is /),
  ]);
});

test("what the table says of the CPU is what ONNX Runtime does", async () => {
  for (const dtype of ["float32", "int32", "int64", "bool"] as const) {
    for (const [op, make] of Object.entries({ maximum, add, greater })) {
      const bytes = oneNode(dtype, make);
      const loads = await createSession(bytes, { device: "cpu" }).then(
        async (session) => {
          await session.release();
          return true;
        },
        () => false,
      );
      expect([dtype, op, checkKernels(bytes, "cpu").length === 0]).toEqual([dtype, op, loads]);
    }
  }
});

test("a shape that the graph computes is one that the device would wait for", () => {
  const graph = createGraph();
  const shape = input(graph, "shape", "int64", [1]);
  const x = input(graph, "x", "float32", [2, 2]);
  const flat = addOp({ type: "Reshape" }, [x, shape], "float32", [4]);
  const { bytes } = serialize(graph, new Map([["z", flat]]));
  expect(checkKernels(bytes, "cpu")).toEqual([]);
  expect(checkKernels(bytes, "cuda").map((p) => p.problem)).toEqual([
    "input 1 is read on the host, but is computed",
  ]);
});

test("the operators of training that have no 16-bit CUDA kernel", () => {
  const names = (type: "float16" | "bfloat16") => {
    const all = Object.values(TYPES).flatMap((changes) => Object.values(models(changes, false)));
    return [...new Set(all.flatMap((bytes) => lacking(bytes, "cuda", type)))].sort();
  };
  expect({ float16: names("float16"), bfloat16: names("bfloat16") }).toMatchInlineSnapshot(`
    {
      "bfloat16": [
        "ArgMax",
        "Cos",
        "CumSum",
        "Equal",
        "Greater",
        "Less",
        "LessOrEqual",
        "LogSoftmax",
        "Reciprocal",
        "ReduceMax",
        "ReduceSumSquare",
        "Sin",
      ],
      "float16": [],
    }
  `);
});
