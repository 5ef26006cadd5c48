/** What a training session lends: its parameters to samplers and evaluation, its gradients to be looked at. */
import { expect, test } from "vitest";
import { buildArtifact, createFastSampler, createSampler, createTrainSession } from "../src/index.js";
import { testBatch, testConfig, testParams } from "./fixtures.js";

const config = testConfig();
const { batch, draws } = testBatch(config);
const artifact = buildArtifact(config, { batchSize: 2, optimizer: { emaDecay: 0.5 } });

test.each(["raw", "ema"] as const)(
  "a sampler over the session's %s parameters follows them",
  async (which) => {
    const session = await createTrainSession({ artifact, params: testParams(config) });
    const lent = await createSampler({ config, params: session.params(which), batchSize: 2 });
    const sample = () => lent.sample(batch.observation, draws.noise, { numSteps: 3 });
    const before = await sample();
    await session.step(batch, draws, 1e-2);
    await session.step(batch, draws, 1e-2);
    const { params, ema } = await session.state();
    const own = await createSampler({ config, params: which === "ema" ? ema! : params, batchSize: 2 });
    const after = await sample();
    expect(after).toEqual(await own.sample(batch.observation, draws.noise, { numSteps: 3 }));
    expect(after).not.toEqual(before);
    await own.release();
    // The parameters stay the session's: it goes on after the sampler is gone.
    await lent.release();
    expect((await session.step(batch, draws, 1e-2)).grad_norm).toBeGreaterThan(0);
    await session.release();
  },
);

test("sampling and evaluating between steps change nothing of the training", async () => {
  const run = async (disturb: boolean) => {
    const session = await createTrainSession({ artifact, params: testParams(config) });
    const sampler = await createSampler({ config, params: session.params("ema"), batchSize: 2 });
    for (let i = 0; i < 3; i++) {
      await session.step(batch, draws, 1e-2);
      if (!disturb) continue;
      await session.evaluate(batch, draws, "ema");
      await sampler.sample(batch.observation, draws.noise, { numSteps: 2 });
      for (const tensor of session.gradients().byName.values()) await tensor.read();
    }
    const state = await session.state();
    await sampler.release();
    await session.release();
    return state;
  };
  expect(await run(true)).toEqual(await run(false));
});

test("evaluation of the average is that of a session that starts from it", async () => {
  const session = await createTrainSession({ artifact, params: testParams(config) });
  await session.step(batch, draws, 1e-2);
  await session.step(batch, draws, 1e-2);
  const { ema } = await session.state();
  const other = await createTrainSession({ artifact, params: ema! });
  const losses = await session.evaluate(batch, draws, "ema");
  expect(losses).toEqual(await other.evaluate(batch, draws));
  expect(losses.total).not.toBe((await session.evaluate(batch, draws, "raw")).total);
  await other.release();
  await session.release();
});

test("without an average there is none to lend", async () => {
  const plain = buildArtifact(config, { batchSize: 2, optimizer: { emaDecay: null } });
  const session = await createTrainSession({ artifact: plain, params: testParams(config) });
  expect(() => session.params("ema")).toThrow(/no average of the parameters/);
  await expect(session.evaluate(batch, draws, "ema")).rejects.toMatchObject({ code: "session/no-ema" });
  await session.release();
});

test("the gradients are those whose norm the step reports", async () => {
  const session = await createTrainSession({ artifact, params: testParams(config) });
  const { grad_norm } = await session.step(batch, draws, 1e-3);
  let squares = 0;
  for (const tensor of session.gradients().byName.values()) {
    for (const g of (await tensor.read()).data as Float32Array) squares += g * g;
  }
  expect(Math.sqrt(squares)).toBeCloseTo(grad_norm, 4);
  await session.release();
});

test("pi0_fast's sampler borrows as well", async () => {
  const fast = testConfig({ pi05: false, knowledgeInsulation: false, pi0Fast: true });
  const { batch, draws } = testBatch(fast);
  const params = testParams(fast);
  const session = await createTrainSession({ artifact: buildArtifact(fast, { batchSize: 2 }), params });
  const options = { config: fast, batchSize: 2, maxDecodingSteps: 4 };
  const lent = await createFastSampler({ ...options, params: session.params() });
  const own = await createFastSampler({ ...options, params });
  expect(await lent.sample(batch.observation)).toEqual(await own.sample(batch.observation));
  await session.step(batch, draws, 0.1);
  await lent.release();
  await own.release();
  await session.release();
});
