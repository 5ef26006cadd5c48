import { afterAll, beforeAll, expect, test } from "vitest";
import { createFastSampler, createSampler, type Sampler } from "../src/index.js";
import { testBatch, testConfig, testParams } from "./fixtures.js";

const config = testConfig();
const { batch, draws } = testBatch(config);
let sampler: Sampler;
beforeAll(async () => {
  sampler = await createSampler({ config, params: testParams(config), batchSize: 2 });
});
afterAll(() => sampler.release());

test("steps are positive integers", async () => {
  for (const numSteps of [0, -1, 2.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    await expect(
      sampler.sample(batch.observation, draws.noise, { numSteps }),
      `${numSteps}`,
    ).rejects.toMatchObject({
      name: "InsulaError",
      code: "sampler/steps",
      message: `sampler: numSteps: expected a positive integer, found ${numSteps}`,
    });
  }
  const { shape } = await sampler.sample(batch.observation, draws.noise, { numSteps: 1 });
  expect(shape).toEqual([2, 6, 5]);
});

test("noise is [batchSize, actionHorizon, actionDim]", async () => {
  for (const shape of [[1, 6, 5], [2, 5, 6], [2, 6], [2, 6, 5, 1], []]) {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    await expect(sampler.sample(batch.observation, { data, shape }), `${shape}`).rejects.toMatchObject({
      name: "InsulaError",
      code: "sampler/noise",
      message: expect.stringContaining(
        `expected [2, 6, 5] (batchSize, actionHorizon, actionDim), found [${shape.join(", ")}]`,
      ),
    });
  }
  const short = { data: new Float32Array(59), shape: [2, 6, 5] };
  await expect(sampler.sample(batch.observation, short)).rejects.toMatchObject({ code: "sampler/noise" });
});

test("the most tokens to generate are a positive integer", async () => {
  const fast = testConfig({ pi05: false, knowledgeInsulation: false, pi0Fast: true });
  for (const maxDecodingSteps of [0, -3, 1.5, Number.NaN]) {
    await expect(
      createFastSampler({ config: fast, params: testParams(fast), batchSize: 1, maxDecodingSteps }),
    ).rejects.toMatchObject({
      code: "sampler/steps",
      message: `sampler: maxDecodingSteps: expected a positive integer, found ${maxDecodingSteps}`,
    });
  }
});
