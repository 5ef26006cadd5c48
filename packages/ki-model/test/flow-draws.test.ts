/**
 * @file Several draws of noise and time per prefix: the action loss is the mean of the losses that the draws have one
 * by one, and the VLM runs once.
 */
import { type ModelConfig, sizeOf } from "@insula/model-types";
import type { Node } from "@insula/onnx-grad";
import { ancestors } from "@insula/onnx-grad";
import { expect, test } from "vitest";
import {
  buildTrainingModel,
  type FlowDraws,
  gradientPaths,
  planMemory,
  type TrainBatch,
} from "../src/index.js";
import { runModel, testBatch, testConfig, testParams } from "./fixtures.js";

const TYPES: Record<string, Partial<ModelConfig>> = {
  pi05_ki: {},
  "pi05_ki in two passes, grouped heads": {
    kiForm: "two-pass",
    vlm: { width: 16, depth: 2, mlpDim: 24, numHeads: 4, numKvHeads: 2, headDim: 8 },
    expert: { width: 12, depth: 2, mlpDim: 20, numHeads: 4, numKvHeads: 2, headDim: 8 },
  },
  pi05: { knowledgeInsulation: false, maskPadded: false },
  pi0: { knowledgeInsulation: false, pi05: false, maskPadded: false },
};

const BATCH = 2;

/** Draw `k` of each sample alone. */
function draw({ noise, time }: FlowDraws, k: number, draws: number): FlowDraws {
  const [, ...rest] = noise.shape as [number, ...number[]];
  const size = sizeOf(rest);
  const data = new Float32Array(BATCH * size);
  for (let b = 0; b < BATCH; b++) {
    const from = (b * draws + k) * size;
    data.set(noise.data.subarray(from, from + size), b * size);
  }
  return {
    noise: { data, shape: [BATCH, ...rest] },
    time: { data: time.data.filter((_, i) => i % draws === k), shape: [BATCH] },
  };
}

const run = (config: ModelConfig, flowDraws: number, input: { batch: TrainBatch; draws: FlowDraws }) => {
  const { context, outputs } = buildTrainingModel(config, { batchSize: BATCH, flowDraws });
  return runModel(context, outputs, testParams(config), input);
};

test.each(Object.keys(TYPES))("%s: the mean of the draws' own losses and gradients", async (type) => {
  const config = testConfig(TYPES[type]!);
  const count = 3;
  const { batch } = testBatch(config, BATCH);
  const { draws } = testBatch(config, BATCH * count, 5);
  const together = await run(config, count, { batch, draws });
  const alone: Awaited<ReturnType<typeof run>>[] = [];
  for (let k = 0; k < count; k++) alone.push(await run(config, 1, { batch, draws: draw(draws, k, count) }));
  expect(new Set(alone.map((out) => out["action_loss"]!.data[0])).size).toBe(count);
  for (const [name, { data }] of Object.entries(together)) {
    const mean = Float64Array.from({ length: data.length }, (_, i) =>
      alone.reduce((sum, out) => sum + Number(out[name]!.data[i]) / count, 0),
    );
    const largest = Math.max(...mean.map(Math.abs));
    const off = Math.max(...mean.map((x, i) => Math.abs(x - Number(data[i]))));
    // Losses to 1e-6; gradients as closely as float32 sums in two orders agree.
    expect(off, name).toBeLessThanOrEqual(name.startsWith("grad/") ? 1e-5 * largest + 1e-7 : 1e-6 * largest);
  }
});

test("the VLM runs once, whatever the number of draws", () => {
  const config = testConfig();
  const nodesOf = (flowDraws: number) => {
    const { outputs } = buildTrainingModel(config, { batchSize: BATCH, flowDraws });
    const nodes = new Set([...ancestors(outputs.values())].flatMap(({ producer }) => producer ?? []));
    const inScope = (scope: RegExp) =>
      [...nodes]
        .filter((node: Node) => scope.test(node.outputs[0]!.name))
        .map((node) => node.outputs[0]!.shape);
    return { siglip: inScope(/^siglip\//), vlm: inScope(/^vlm\//), expert: inScope(/^expert\//) };
  };
  const [one, five] = [nodesOf(1), nodesOf(5)];
  expect(one.siglip.length).toBeGreaterThan(20);
  expect(one.vlm.length).toBeGreaterThan(20);
  expect(five.siglip).toEqual(one.siglip);
  expect(five.vlm).toEqual(one.vlm);
  const elements = (shapes: readonly (readonly number[])[]) =>
    shapes.reduce((n, shape) => n + sizeOf(shape), 0);
  expect(elements(five.expert)).toBeGreaterThan(3 * elements(one.expert));
});

test("insulation holds with several draws", () => {
  const paths = gradientPaths(buildTrainingModel(testConfig(), { batchSize: BATCH, flowDraws: 4 }));
  expect(paths.vlm.action_loss).toBe(0);
  expect(paths.expert.fast_loss).toBe(0);
  expect(paths.expert.action_loss).toBe(paths.expert.parameters);
});

test("the plan counts the expert's rows, and only those", () => {
  const config = testConfig();
  const plan = (flowDraws: number) => planMemory(config, { batchSize: BATCH, flowDraws });
  const [one, two, three] = [plan(1), plan(2), plan(3)];
  expect(two.bytes.activations).toBeGreaterThan(one.bytes.activations);
  expect(three.matmulFlops).toBeGreaterThan(two.matmulFlops);
  expect(three.matmulFlops).toBeLessThan(2 * one.matmulFlops);
  expect(two.bytes.gradients).toBe(one.bytes.gradients);
});

test("draws that cannot be are refused", () => {
  const build =
    (flowDraws: number, changes: Partial<ModelConfig> = {}) =>
    () =>
      buildTrainingModel(testConfig(changes), { batchSize: BATCH, flowDraws });
  expect(build(0)).toThrow("flowDraws: expected an integer of at least 1, found 0");
  expect(build(2, { pi0Fast: true, pi05: false, knowledgeInsulation: false, maskPadded: false })).toThrow(
    "flowDraws: expected 1, found 2; pi0_fast has no action expert",
  );
});
