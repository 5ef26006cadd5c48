import { expect, test } from "vitest";
import { createSampler } from "../src/index.js";
import { testBatch, testConfig, testParams } from "./fixtures.js";

const config = testConfig();
const { batch, draws } = testBatch(config);

test("FAST tokens play no part in sampling", async () => {
  const sampler = await createSampler({ config, params: testParams(config), batchSize: 2 });
  const { observation } = batch;
  const withFast = await sampler.sample(observation, draws.noise);
  const ar = observation.tokenArMask!.data;
  const prompt = {
    ...observation,
    tokenArMask: { data: new Int32Array(ar.length), shape: observation.tokenArMask!.shape },
    tokenizedPrompt: {
      data: observation.tokenizedPrompt!.data.map((id, i) => (ar[i] ? 0 : id)),
      shape: observation.tokenizedPrompt!.shape,
    },
    tokenizedPromptMask: {
      data: observation.tokenizedPromptMask!.data.map((m, i) => (ar[i] ? 0 : m)),
      shape: observation.tokenizedPrompt!.shape,
    },
  };
  const without = await sampler.sample(prompt, draws.noise);
  expect(withFast.data).toEqual(without.data);
  expect(withFast.data).not.toEqual(draws.noise.data);
  await sampler.release();
});

test("a camera that is not there may be left out of the graph", async () => {
  const params = testParams(config);
  const all = await createSampler({ config, params, batchSize: 2 });
  const two = await createSampler({ config, params, batchSize: 2, imageKeys: config.imageKeys.slice(0, 2) });
  const expected = await all.sample(batch.observation, draws.noise);
  const actual = await two.sample(batch.observation, draws.noise);
  expect(actual.data).toBeAllclose(expected.data, { rtol: 1e-5 });
  await all.release();
  await two.release();
});

test("short texts take shorter graphs and get the same actions", async () => {
  const params = testParams(config);
  const whole = await createSampler({ config, params, batchSize: 2 });
  const bucketed = await createSampler({ config, params, batchSize: 2, tokenBuckets: [12, 18] });
  const mask = batch.observation.tokenizedPromptMask!;
  const width = mask.shape[1]!;
  for (const length of [5, 12, 13, 18, 19, width]) {
    const data = mask.data.map((_, i) => (i % width < length ? 1 : 0));
    const observation = { ...batch.observation, tokenizedPromptMask: { data, shape: mask.shape } };
    delete observation.tokenArMask;
    const expected = await whole.sample(observation, draws.noise);
    const actual = await bucketed.sample(observation, draws.noise);
    expect(actual.data).toBeAllclose(expected.data, { rtol: 1e-5, atol: 1e-6 });
  }
  await whole.release();
  await bucketed.release();
  const refused = createSampler({ config, params, batchSize: 2, tokenBuckets: [config.maxTokenLen] });
  await expect(refused).rejects.toMatchObject({ code: "model/token-buckets" });
});

test("calls at the same time are answered one after the other, as if alone", async () => {
  const sampler = await createSampler({ config, params: testParams(config), batchSize: 2 });
  const [one, other] = [testBatch(config, 2, 1), testBatch(config, 2, 2)];
  const alone = await sampler.sample(one.batch.observation, one.draws.noise);
  const together = await Promise.all([
    sampler.sample(one.batch.observation, one.draws.noise),
    sampler.sample(other.batch.observation, other.draws.noise, { numSteps: 2 }),
    sampler.sample(one.batch.observation, one.draws.noise),
  ]);
  expect(together[0]).toEqual(alone);
  expect(together[1]).not.toEqual(alone);
  expect(together[2]).toEqual(alone);
  // A call that fails does not stop the next; release waits for those before it.
  const broken = sampler.sample({ ...one.batch.observation, images: {} }, one.draws.noise);
  const last = sampler.sample(one.batch.observation, one.draws.noise);
  const released = sampler.release();
  await expect(broken).rejects.toMatchObject({ code: "model/feed" });
  expect(await last).toEqual(alone);
  await released;
});

test("the runtimes sample alike", async () => {
  const samples = [];
  for (const runtime of ["node", "capi"] as const) {
    const sampler = await createSampler({
      config,
      params: testParams(config),
      batchSize: 2,
      runtime,
      threads: 1,
    });
    samples.push(await sampler.sample(batch.observation, draws.noise));
    await sampler.release();
  }
  expect(samples[0]).toEqual(samples[1]);
});
