import { type ModelConfig, makeModelConfig } from "@insula/model-types";
import { serialize } from "@insula/onnx-grad";
import { createSession, defaultRuntime, type Tensor, zerosTensor } from "@insula/ort-session";
import { describe, expect, test } from "vitest";
import {
  type ArtifactOptions,
  buildArtifact,
  buildTrainingModel,
  choosePlan,
  createTrainSession,
  initParams,
  planMemory,
  type Rematerialize,
} from "../src/index.js";
import { alternatives } from "../src/plan/choose.js";
import { testBatch, testConfig } from "./fixtures.js";
import { loraConfig } from "./lora-config.js";

const ki = (size: "tiny" | "small" | "full", changes: Partial<ModelConfig> = {}) =>
  makeModelConfig({ pi05: true, knowledgeInsulation: true, size, ...changes });

const twoCameras = (config: ModelConfig) => ({ imageKeys: config.imageKeys.slice(0, 2) });

/** Run the training graph once on zeros; the peak of the session's arena, bytes. */
async function measuredPeak(config: ModelConfig, options: ArtifactOptions): Promise<number> {
  const { context, outputs } = buildTrainingModel(config, options);
  const { bytes, inputs } = serialize(context.graph, outputs);
  const session = await createSession(bytes, { threads: 1 });
  try {
    const feeds: Record<string, Tensor> = {};
    for (const { name, dtype, shape } of inputs) feeds[name] = zerosTensor(dtype as "float32", shape);
    await session.run(feeds);
    return session.memory()!.peak;
  } finally {
    await session.release();
  }
}

describe.runIf(defaultRuntime() === "capi")("against ONNX Runtime's arena", () => {
  const cases: [string, ModelConfig, number][] = [
    ["test size", testConfig(), 3],
    ["test size with adapters", loraConfig(), 3],
    ["tiny", ki("tiny"), 4],
    ["pi0, tiny", makeModelConfig({ size: "tiny" }), 2],
    ["pi0_fast, tiny", makeModelConfig({ size: "tiny", pi0Fast: true }), 2],
    ["half of small", ki("small", { imageSize: 112, maxTokenLen: 128 }), 2],
  ];
  for (const [name, config, batchSize] of cases) {
    for (const rematerialize of [false, true]) {
      test(`${name}${rematerialize ? ", rematerialised" : ""}`, async () => {
        const options = { batchSize, rematerialize, ...twoCameras(config) };
        const { activations } = planMemory(config, options).bytes;
        const measured = await measuredPeak(config, options);
        expect(activations / measured).toBeGreaterThan(0.9);
        expect(activations / measured).toBeLessThan(1.1);
      });
    }
  }
});

/** Bytes that a session holds after a step: its tensors, and the most that the process's shared arena ever held. */
async function measuredStep(config: ModelConfig, options: ArtifactOptions): Promise<number> {
  const { batchSize, flowDraws = 1 } = options;
  const artifact = buildArtifact(config, options);
  const session = await createTrainSession({
    artifact,
    params: initParams(config, 0),
    runtime: "capi",
    threads: 1,
  });
  try {
    const { batch } = testBatch(config, batchSize);
    await session.step(batch, testBatch(config, batchSize * flowDraws).draws, 1e-3);
    const { tensors, arena } = session.memory();
    return tensors + arena!.peak;
  } finally {
    await session.release();
  }
}

test.runIf(defaultRuntime() === "capi")("a real step takes what was planned, within 15 %", async () => {
  const config = ki("tiny", { imageSize: 112, maxTokenLen: 128 });
  const variants: Partial<ArtifactOptions>[] = [
    {},
    { gradientAccumulation: 4, optimizer: { emaDecay: null } },
    { gradientAccumulation: 2, rematerialize: true },
    { flowDraws: 5 },
    { flowDraws: 5, gradientAccumulation: 2, optimizer: { emaDecay: null } },
  ];
  // Smallest first: the arena's peak is that of all steps so far.
  const cases = variants
    .map((more) => ({ batchSize: 4, ...twoCameras(config), ...more }))
    .map((options) => ({ options, plan: planMemory(config, options).bytes }))
    .sort((a, b) => a.plan.activations - b.plan.activations);
  for (const { options, plan } of cases) {
    const { imageKeys: _, ...shown } = options;
    const ratio = plan.total / (await measuredStep(config, options));
    expect(ratio, JSON.stringify(shown)).toBeGreaterThan(0.85);
    expect(ratio, JSON.stringify(shown)).toBeLessThan(1.15);
  }
});

test("accumulation: the memory of a micro-batch, the work of the batch", () => {
  const config = testConfig();
  const plan = (batchSize: number, gradientAccumulation: number) =>
    planMemory(config, { batchSize, gradientAccumulation });
  const [whole, parts, small] = [plan(8, 1), plan(8, 4), plan(2, 1)];
  expect(parts.bytes.activations).toBeLessThan(whole.bytes.activations);
  expect(parts.bytes.activations / small.bytes.activations).toBeCloseTo(1, 1);
  expect(parts.bytes.gradients).toBe(whole.bytes.gradients);
  expect(parts.matmulFlops / whole.matmulFlops).toBeCloseTo(1, 2);
  expect(parts.kernels).toBeGreaterThan(2 * whole.kernels);
  expect(() => plan(8, 3)).toThrow("expected a divisor of batchSize 8, found 3");
});

test("state is counted in the graphs' own types", () => {
  const config = testConfig();
  const options = { batchSize: 1, optimizer: { emaDecay: 0.9 } };
  const { bytes, params, trainable } = planMemory(config, options);
  const all = params.vlm + params.expert;
  const trained = trainable.vlm + trainable.expert;
  expect(bytes).toMatchObject({
    parameters: 4 * all,
    gradients: 4 * trained,
    moments: 8 * trained,
    ema: 4 * trained,
  });
  expect(planMemory(config, { batchSize: 1, optimizer: { emaDecay: null } }).bytes.ema).toBe(0);
  const { total, logits, ...parts } = bytes;
  expect(Object.values(parts).reduce((a, b) => a + b)).toBe(total);
  expect(logits).toBeLessThanOrEqual(bytes.activations);
});

test("beyond 256 samples a plan is a straight line", () => {
  const config = testConfig();
  const total = (batchSize: number) => planMemory(config, { batchSize }).bytes.total;
  expect(total(384) - total(256)).toBeCloseTo(total(256) - total(128), 0);
  expect(total(9e6)).toBeGreaterThan(1e4 * total(256));
});

test("the full model: parameters, and rematerialisation pays", () => {
  const config = ki("full");
  const options = { batchSize: 2, lossRows: 64, ...twoCameras(config) };
  const kept = planMemory(config, options);
  const again = planMemory(config, { ...options, rematerialize: true });
  expect(kept.params.vlm + kept.params.expert).toBe(3_353_433_872);
  expect(again.bytes.activations).toBeLessThan(0.7 * kept.bytes.activations);
  expect(again.matmulFlops / kept.matmulFlops).toBeGreaterThan(1.15);
  expect(again.matmulFlops / kept.matmulFlops).toBeLessThan(1.34);
});

describe("choice", () => {
  const asked = { batchSize: 8, gradientAccumulation: 1, rematerialize: false, emaDecay: 0.99 };
  const text = (choices: ReturnType<typeof alternatives>) =>
    choices.map(
      ({ batchSize, gradientAccumulation: parts, rematerialize, emaDecay }) =>
        `${batchSize}${parts > 1 ? `/${parts}` : ""}${rematerialize ? "r" : ""}${emaDecay === null ? "" : "e"}`,
    );

  test("in order: rematerialise, smaller micro-batches, then the same without the average", () => {
    expect(text(alternatives(asked))).toEqual([
      "8e",
      "8re",
      "8/2re",
      "8/4re",
      "8/8re",
      "8r",
      "8/2r",
      "8/4r",
      "8/8r",
    ]);
    expect(text(alternatives({ ...asked, batchSize: 6, gradientAccumulation: 2 }))).toEqual([
      "6/2e",
      "6/2re",
      "6/3re",
      "6/6re",
      "6/2r",
      "6/3r",
      "6/6r",
    ]);
    const half = { siglip: 1, vlm: 1 };
    expect(alternatives(asked, [], half).map((c) => c.rematerialize)).toEqual([
      false,
      half,
      ...Array(8).fill(true),
    ]);
  });

  test("what is fixed stays", () => {
    expect(text(alternatives(asked, ["gradientAccumulation"]))).toEqual([
      "8e",
      "8re",
      "4re",
      "2re",
      "1re",
      "8r",
      "4r",
      "2r",
      "1r",
    ]);
    const both = ["batchSize", "gradientAccumulation"] as const;
    expect(alternatives(asked, [...both, "emaDecay"])).toEqual([asked, { ...asked, rematerialize: true }]);
    expect(alternatives(asked, [...both, "rematerialize", "emaDecay"])).toEqual([asked]);
    expect(text(alternatives({ ...asked, emaDecay: null }, ["rematerialize"]))).toEqual([
      "8",
      "8/2",
      "8/4",
      "8/8",
    ]);
    expect(text(alternatives(asked, both)).at(-1)).toBe("8r");
  });

  test("the first that fits, and nothing else when nothing does", () => {
    const config = testConfig();
    const options = { batchSize: 8, optimizer: { emaDecay: 0.99 } };
    const total = (rematerialize: Rematerialize) =>
      planMemory(config, { ...options, rematerialize }).bytes.total;
    const roomy = choosePlan(config, { ...options, deviceMemory: total(false) });
    expect(roomy).toMatchObject({ fits: true, choice: asked, changes: [] });
    const tight = choosePlan(config, { ...options, deviceMemory: total(false) - 1 });
    expect(tight.fits).toBe(true);
    expect(tight.plan.bytes.total).toBeLessThan(total(false));
    expect(tight.changes).toEqual(["rematerialisation of half of the layers"]);
    const half = { siglip: 1, vlm: 1, expert: 1 };
    expect(tight.choice.rematerialize).toEqual(half);
    const tighter = choosePlan(config, { ...options, deviceMemory: total(half) - 1 });
    expect(tighter.fits).toBe(true);
    expect(tighter.changes[0]).toBe("rematerialisation");
    const none = choosePlan(config, { ...options, deviceMemory: 1 });
    expect(none).toMatchObject({
      fits: false,
      choice: { batchSize: 8, gradientAccumulation: 8, rematerialize: true, emaDecay: null },
      changes: [
        "rematerialisation",
        "micro-batches of 1 (gradientAccumulation 8)",
        "no average of the parameters",
      ],
    });
  });
});
