import { bf16ToFloat32, float32ToBf16 } from "@insula/safetensors";
import { expect, test } from "vitest";
import { buildArtifact, createTrainSession, initParams, nextLossScale } from "../src/index.js";
import { testBatch, testConfig, testParams } from "./fixtures.js";

const config = testConfig();
const { batch, draws } = testBatch(config);

test("float16 trains, and its scale is part of the state", async () => {
  const artifact = buildArtifact(config, { batchSize: 2, computeType: "float16" });
  const session = await createTrainSession({ artifact, params: initParams(config, 0) });
  const first = await session.step(batch, draws, 3e-3);
  let last = first;
  for (let i = 0; i < 60; i++) last = await session.step(batch, draws, 3e-3);
  expect(last.fast_loss!).toBeLessThan(0.6 * first.fast_loss!);
  expect(last.action_loss!).toBeLessThan(0.8 * first.action_loss!);
  const state = await session.state();
  expect(state.lossScale!.scale).toBe(last.loss_scale);
  expect(state.lossScale!.goodSteps).toBeGreaterThan(30);

  await session.restore({ ...state, lossScale: { scale: 8, goodSteps: 0 } });
  expect((await session.step(batch, draws, 0)).loss_scale).toBe(8);
  await session.release();
});

test("an overflow changes nothing but the scale, which halves until the step goes through", async () => {
  const artifact = buildArtifact(config, { batchSize: 2, computeType: "float16" });
  const params = testParams(config);
  const session = await createTrainSession({ artifact, params });
  await session.step(batch, draws, 1e-3);
  const before = await session.state();
  // No gradient of this model times 2^24 is a float16.
  await session.restore({ ...before, lossScale: { scale: 2 ** 24, goodSteps: 5 } });
  const scales: number[] = [];
  let metrics = await session.step(batch, draws, 1e-3);
  for (; metrics.skipped; metrics = await session.step(batch, draws, 1e-3)) {
    scales.push(metrics.loss_scale!);
    const { params, mu, nu, ema } = await session.state();
    expect({ params, mu, nu, ema }).toEqual({
      params: before.params,
      mu: before.mu,
      nu: before.nu,
      ema: before.ema,
    });
  }
  expect(scales.length).toBeGreaterThan(2);
  expect(scales).toEqual(scales.map((_, i) => 2 ** (24 - i)));
  expect(Number.isFinite(metrics.grad_norm)).toBe(true);
  expect((await session.state()).params).not.toEqual(before.params);
  await session.release();
});

test("the scale never falls below 1 and grows after 2000 good steps", () => {
  expect(nextLossScale({ scale: 1, goodSteps: 7 }, true)).toEqual({ scale: 1, goodSteps: 0 });
  let state = { scale: 4, goodSteps: 0 };
  for (let i = 0; i < 2000; i++) state = nextLossScale(state, false);
  expect(state).toEqual({ scale: 8, goodSteps: 0 });
});

test("a batch with a NaN changes nothing in float32 either", async () => {
  const artifact = buildArtifact(config, { batchSize: 2 });
  const session = await createTrainSession({ artifact, params: testParams(config) });
  await session.step(batch, draws, 1e-3);
  const before = await session.state();
  const data = batch.actions.data.slice();
  data[3] = Number.NaN;
  const metrics = await session.step({ ...batch, actions: { ...batch.actions, data } }, draws, 1e-3);
  expect(metrics.skipped).toBe(1);
  expect({ ...(await session.state()), step: before.step }).toEqual(before);
  expect((await session.step(batch, draws, 1e-3)).skipped).toBeUndefined();
  await session.release();
});

/** Its square is no float32; its gradient, which grows with it, is one. */
const HUGE = 3e19;

test.each([1, 2])(
  "a loss that overflows changes nothing where its gradient does not, in %i micro-batches",
  async (gradientAccumulation) => {
    const artifact = buildArtifact(config, { batchSize: 2, gradientAccumulation });
    const session = await createTrainSession({ artifact, params: testParams(config) });
    await session.step(batch, draws, 1e-3);
    const before = await session.state();
    const data = batch.actions.data.slice();
    data[3] = HUGE;
    const metrics = await session.step({ ...batch, actions: { ...batch.actions, data } }, draws, 1e-3);
    expect(metrics).toMatchObject({ skipped: 1, total: Number.POSITIVE_INFINITY });
    expect(Number.isFinite(metrics.grad_norm)).toBe(true);
    expect({ ...(await session.state()), step: before.step }).toEqual(before);
    expect((await session.step(batch, draws, 1e-3)).skipped).toBeUndefined();
    await session.release();
  },
);

test("a total that overflows over micro-batches is told as that of the whole batch would be", async () => {
  const heavy = testConfig({ kiFastTokenLossWeight: 3e38 });
  for (const gradientAccumulation of [1, 2]) {
    const artifact = buildArtifact(heavy, { batchSize: 2, gradientAccumulation });
    const session = await createTrainSession({ artifact, params: testParams(heavy) });
    const metrics = await session.step(batch, draws, 1e-3);
    expect(metrics).toMatchObject({ skipped: 1, total: Number.POSITIVE_INFINITY });
    expect(Number.isFinite(metrics.fast_loss)).toBe(true);
    await session.release();
  }
});

test("frozen parameters are stored as bfloat16, stay, and come back out", async () => {
  const freeze = ["PaliGemma/img/.*", "PaliGemma/llm/embedder/.*"];
  const artifact = buildArtifact(config, { batchSize: 2, freeze });
  const params = testParams(config);
  const session = await createTrainSession({ artifact, params, runtime: "capi" });
  const all = buildArtifact(config, { batchSize: 2 });
  const full = await createTrainSession({ artifact: all, params, runtime: "capi" });
  expect(session.memory().tensors).toBeLessThan(0.9 * full.memory().tensors);
  await full.release();

  for (let i = 0; i < 3; i++) await session.step(batch, draws, 1e-2);
  const state = await session.state();
  for (const [path, { data }] of params) {
    const now = state.params.get(path)!.data;
    if (/img|embedder/.test(path)) {
      expect(now, path).toEqual(bf16ToFloat32(float32ToBf16(data)));
      expect(state.mu.has(path), path).toBe(false);
      expect(state.ema!.get(path)!.data, path).toEqual(now);
    } else expect(now, path).not.toEqual(data);
  }
  const next = await session.step(batch, draws, 1e-2);
  await session.restore(state);
  expect(await session.step(batch, draws, 1e-2)).toEqual(next);
  await session.release();
});

test("the node runtime has no bfloat16 and says so; stored as float32 it trains", async () => {
  const freeze = ["PaliGemma/img/.*"];
  const open = (frozenType: "bfloat16" | "float32") =>
    createTrainSession({
      artifact: buildArtifact(config, { batchSize: 2, freeze, frozenType }),
      params: testParams(config),
      runtime: "node",
    });
  await expect(open("bfloat16")).rejects.toThrow("the node runtime has no bfloat16");
  const session = await open("float32");
  expect((await session.step(batch, draws, 1e-3)).skipped).toBeUndefined();
  await session.release();
});
