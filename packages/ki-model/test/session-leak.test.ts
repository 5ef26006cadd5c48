import type * as ort from "@insula/ort-session";
import { beforeEach, expect, test, vi } from "vitest";
import {
  buildArtifact,
  createFastSampler,
  createSampler,
  createTrainSession,
  initParams,
} from "../src/index.js";
import { testConfig, testParams } from "./fixtures.js";

/** Sessions opened and not released; the model that is damaged before it is opened, counted from 1. */
const sessions = vi.hoisted(() => ({ calls: 0, opened: 0, alive: 0, damaged: 0 }));

// Real sessions, counted.
vi.mock("@insula/ort-session", async (original) => {
  const real = await original<typeof ort>();
  const createSession: typeof ort.createSession = async (model, options) => {
    const damaged = ++sessions.calls === sessions.damaged;
    const session = await real.createSession(damaged ? Uint8Array.of(1, 2, 3) : model, options);
    sessions.opened++;
    sessions.alive++;
    return {
      ...session,
      run: session.run.bind(session),
      async release() {
        await session.release();
        sessions.alive--;
      },
    };
  };
  return { ...real, createSession };
});

beforeEach(() => void Object.assign(sessions, { calls: 0, opened: 0, alive: 0, damaged: 0 }));

const config = testConfig();
const fastConfig = testConfig({ pi05: false, knowledgeInsulation: false, pi0Fast: true });
const samplers = {
  createSampler: (params = testParams(config)) => createSampler({ config, params, batchSize: 1 }),
  createFastSampler: (params = testParams(fastConfig)) =>
    createFastSampler({ config: fastConfig, params, batchSize: 1, maxDecodingSteps: 2 }),
};

for (const [name, create] of Object.entries(samplers)) {
  test(`${name}: the second model does not open, the first session is released`, async () => {
    sessions.damaged = 2;
    await expect(create()).rejects.toThrow();
    expect(sessions).toMatchObject({ calls: 2, opened: 1, alive: 0 });
  });

  test(`${name}: wrong parameters leave no session open`, async () => {
    await expect(create(new Map())).rejects.toThrow("is missing");
    expect(sessions.alive).toBe(0);
  });

  test(`${name}: release closes both`, async () => {
    const sampler = await create();
    expect(sessions.alive).toBe(2);
    await sampler.release();
    expect(sessions.alive).toBe(0);
  });
}

test("createTrainSession: wrong parameters leave no session open", async () => {
  const artifact = buildArtifact(config, { batchSize: 2 });
  const params = initParams(config, 0);
  params.delete("action_in_proj/bias");
  await expect(createTrainSession({ artifact, params })).rejects.toThrow(
    "'action_in_proj/bias' [12] is missing",
  );
  expect(sessions.alive).toBe(0);
});
