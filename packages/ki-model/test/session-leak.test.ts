import type * as ort from "@insula/ort-session";
import { beforeEach, expect, test, vi } from "vitest";
import {
  buildArtifact,
  createFastSampler,
  createSampler,
  createTrainSession,
  initParams,
} from "../src/index.js";
import { testBatch, testConfig, testParams } from "./fixtures.js";

/** Sessions opened and not released; the model that is damaged before it is opened, counted from 1. */
const sessions = vi.hoisted(() => ({ calls: 0, opened: 0, alive: 0, damaged: 0 }));
/** Device tensors made, and not released. */
const tensors = vi.hoisted(() => ({ made: 0, alive: 0 }));

// Real sessions and tensors, counted.
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
  const upload: typeof ort.upload = async (...args) => {
    const made = await real.upload(...args);
    const release = made.release;
    tensors.made++;
    tensors.alive++;
    made.release = () => {
      release();
      tensors.alive--;
      made.release = release;
    };
    return made;
  };
  return { ...real, createSession, upload };
});

beforeEach(() => {
  Object.assign(sessions, { calls: 0, opened: 0, alive: 0, damaged: 0 });
  Object.assign(tensors, { made: 0, alive: 0 });
});

const config = testConfig();
const fastConfig = testConfig({ pi05: false, knowledgeInsulation: false, pi0Fast: true });
const samplers = {
  createSampler: (params = testParams(config)) => createSampler({ config, params, batchSize: 1 }),
  createFastSampler: (params = testParams(fastConfig)) =>
    createFastSampler({ config: fastConfig, params, batchSize: 1, maxDecodingSteps: 2 }),
};

for (const [name, create] of Object.entries(samplers)) {
  for (const damaged of [1, 2])
    test(`${name}: model ${damaged} does not open, the other session and the tensors are released`, async () => {
      sessions.damaged = damaged;
      await expect(create()).rejects.toMatchObject({ code: "session/create" });
      expect(sessions).toMatchObject({ calls: 2, opened: 1, alive: 0 });
      expect(tensors.made).toBeGreaterThan(0);
      expect(tensors.alive).toBe(0);
    });

  test(`${name}: wrong parameters leave no session open`, async () => {
    await expect(create(new Map())).rejects.toThrow("is missing");
    expect(sessions.alive).toBe(0);
  });

  test(`${name}: release closes both and frees the parameters`, async () => {
    const sampler = await create();
    expect(sessions.alive).toBe(2);
    expect(tensors.alive).toBe(tensors.made);
    await sampler.release();
    expect([sessions.alive, tensors.alive]).toEqual([0, 0]);
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

test("createTrainSession: a model that does not open leaves no tensor", async () => {
  sessions.damaged = 1;
  const artifact = buildArtifact(config, { batchSize: 2 });
  await expect(createTrainSession({ artifact, params: testParams(config) })).rejects.toMatchObject({
    code: "session/create",
  });
  expect(tensors.made).toBeGreaterThan(0);
  expect([sessions.alive, tensors.alive]).toEqual([0, 0]);
});

test("createTrainSession: release closes every session that was opened and frees every tensor", async () => {
  const artifact = buildArtifact(config, { batchSize: 2, tokenBuckets: [18] });
  const { batch, draws } = testBatch(config);
  const session = await createTrainSession({ artifact, params: testParams(config) });
  await session.step(batch, draws, 1e-3);
  await session.evaluate(batch, draws);
  expect(sessions).toMatchObject({ calls: 3, alive: 3 });
  const made = tensors.made;
  await session.step(batch, draws, 1e-3);
  expect(tensors.made).toBe(made); // placed once
  await session.release();
  expect([sessions.alive, tensors.alive]).toEqual([0, 0]);
});
