import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import {
  buildArtifact,
  createTrainSession,
  initParams,
  paramSpecs,
  readArtifact,
  toFileParams,
  toGraphParams,
  writeArtifact,
} from "../src/index.js";
import { testBatch, testConfig, testParams } from "./fixtures.js";

const dir = mkdtempSync(join(tmpdir(), "insula-artifact-"));
afterAll(() => rmSync(dir, { recursive: true }));

const config = testConfig();
const { batch, draws } = testBatch(config);
const artifact = buildArtifact(config, { batchSize: 2 });

test("file layout and graph layout hold the same numbers", () => {
  fc.assert(
    fc.property(fc.nat(), fc.boolean(), (seed, grouped) => {
      const heads = { numHeads: 4, numKvHeads: grouped ? 2 : 4, headDim: 8 };
      const c = testConfig({
        vlm: { width: 16, depth: 2, mlpDim: 24, ...heads },
        expert: { width: 12, depth: 2, mlpDim: 20, ...heads },
      });
      const params = initParams(c, seed);
      const specs = paramSpecs(c);
      expect(toFileParams(specs, toGraphParams(specs, params))).toEqual(params);
    }),
    { numRuns: 10 },
  );
});

test("the same seed gives the same parameters, another seed others", () => {
  expect(initParams(config, 3)).toEqual(initParams(config, 3));
  expect(initParams(config, 3)).not.toEqual(initParams(config, 4));
});

test("training lowers both losses on a batch that it sees again and again", async () => {
  const session = await createTrainSession({ artifact, params: initParams(config, 0) });
  const first = await session.step(batch, draws, 3e-3);
  let last = first;
  for (let i = 0; i < 60; i++) last = await session.step(batch, draws, 3e-3);
  expect(last.fast_loss!).toBeLessThan(0.6 * first.fast_loss!);
  expect(last.action_loss!).toBeLessThan(0.8 * first.action_loss!);
  expect(Object.keys(last).sort()).toEqual(
    [
      "action_loss",
      "fast_accuracy",
      "fast_loss",
      "grad_norm",
      "grad_norm_expert",
      "grad_norm_vlm",
      "lr",
      "param_norm",
      "total",
    ].sort(),
  );
  expect(last.grad_norm).toBeCloseTo(Math.hypot(last.grad_norm_vlm!, last.grad_norm_expert!), 4);
  await session.release();
});

test("restoring a state continues bit-identically", async () => {
  const params = testParams(config);
  const straight = await createTrainSession({ artifact, params });
  await straight.step(batch, draws, 1e-3);
  const saved = await straight.state();
  const expected = [await straight.step(batch, draws, 1e-3), await straight.step(batch, draws, 1e-3)];
  const resumed = await createTrainSession({ artifact, params: initParams(config, 9) });
  await resumed.restore(saved);
  expect([await resumed.step(batch, draws, 1e-3), await resumed.step(batch, draws, 1e-3)]).toEqual(expected);
  expect(await resumed.state()).toEqual(await straight.state());
  await straight.release();
  await resumed.release();
});

test("evaluation gives the training graph's losses and moves nothing", async () => {
  const session = await createTrainSession({ artifact, params: testParams(config) });
  const before = await session.state();
  const losses = await session.evaluate(batch, draws);
  expect(await session.state()).toEqual(before);
  const step = await session.step(batch, draws, 1e-3);
  for (const key of ["total", "action_loss", "fast_loss"] as const)
    expect(losses[key]).toBeCloseTo(step[key]!, 5);
  await session.release();
});

test("an artifact is read back as it was written, and a damaged file is refused", async () => {
  await writeArtifact(artifact, dir);
  const back = await readArtifact(dir);
  expect(back.manifest).toEqual(JSON.parse(JSON.stringify(artifact.manifest)));
  for (const [name, bytes] of Object.entries(artifact.models))
    expect(Buffer.compare(back.models[name]!, bytes), name).toBe(0);
  const path = join(dir, "training_model.onnx");
  const bytes = readFileSync(path);
  bytes[100]! ^= 1;
  writeFileSync(path, bytes);
  await expect(readArtifact(dir)).rejects.toThrow(/training_model.onnx: expected sha256/);
});

test("building twice gives the same hashes; a changed option gives another", () => {
  expect(buildArtifact(config, { batchSize: 2 }).manifest).toEqual(artifact.manifest);
  expect(buildArtifact(config, { batchSize: 3 }).manifest.artifactHash).not.toBe(
    artifact.manifest.artifactHash,
  );
});

test("a batch with more targets than the graph has rows is refused", async () => {
  const narrow = await createTrainSession({
    artifact: buildArtifact(config, { batchSize: 2, lossRows: 7 }),
    params: testParams(config),
  });
  await expect(narrow.step(batch, draws, 1e-3)).rejects.toThrow(
    "a sample has 8 FAST targets, the graph was built for at most 7 (lossRows)",
  );
  await narrow.release();
});

test("wrong parameters are named", () => {
  const specs = paramSpecs(config);
  const params = initParams(config, 0);
  params.delete("action_in_proj/bias");
  expect(() => toGraphParams(specs, params)).toThrow("parameters: 'action_in_proj/bias' [12] is missing");
  params.set("action_in_proj/bias", { data: new Float32Array(3), shape: [3] });
  expect(() => toGraphParams(specs, params)).toThrow(
    "parameters: 'action_in_proj/bias': expected [12], found [3]",
  );
  params.set("nonsense", { data: new Float32Array(1), shape: [1] });
  expect(() => toGraphParams(specs, params)).toThrow("the model has no nonsense");
});

test("a batch runs on the shortest bucket that holds it, with the same numbers", async () => {
  const params = testParams(config);
  const whole = await createTrainSession({ artifact, params });
  const bucketed = await createTrainSession({
    artifact: buildArtifact(config, { batchSize: 2, tokenBuckets: [12, 18] }),
    params,
  });
  const expected = await whole.step(batch, draws, 1e-3); // the longer sample has 17 tokens
  const actual = await bucketed.step(batch, draws, 1e-3);
  for (const key of ["total", "action_loss", "fast_loss", "fast_accuracy", "grad_norm"] as const) {
    expect(actual[key], key).toBeCloseTo(expected[key]!, 5);
  }
  const [again, reference] = [await bucketed.step(batch, draws, 1e-3), await whole.step(batch, draws, 1e-3)];
  expect(again.total).toBeCloseTo(reference.total, 4);
  await whole.release();
  await bucketed.release();
});

test("a bucket as long as the buffer is refused", () => {
  expect(() => buildArtifact(config, { batchSize: 2, tokenBuckets: [24] })).toThrow(
    "expected lengths from 2 to 23, found 24",
  );
});

test("the runtimes train alike", async () => {
  const ends = [];
  for (const runtime of ["node", "capi"] as const) {
    const session = await createTrainSession({ artifact, params: testParams(config), runtime, threads: 1 });
    const losses = [await session.step(batch, draws, 1e-3), await session.step(batch, draws, 1e-3)];
    ends.push({ losses, state: await session.state() });
    await session.release();
  }
  expect(ends[0]).toEqual(ends[1]);
});

test("the memory of training: tensors to the byte, sessions as far as the runtime knows", async () => {
  const session = await createTrainSession({ artifact, params: testParams(config), runtime: "capi" });
  const size = (params: ReturnType<typeof paramSpecs>) =>
    params.reduce((n, { shape }) => n + 4 * shape.reduce((a, d) => a * d, 1), 0);
  const specs = paramSpecs(config);
  const trained = size(specs.filter((_, i) => artifact.manifest.params[i]!.trainable));
  const tensors = size(specs) + 4 * trained; // gradient, two moments, average
  const fresh = session.memory();
  expect(fresh.tensors).toBe(tensors);
  await session.step(batch, draws, 1e-3);
  const stepped = session.memory();
  expect(stepped.arena!.allocations).toBeGreaterThan(fresh.arena!.allocations);
  expect(stepped.arena!.peak).toBeGreaterThan(0);
  // Evaluation needs less than training, from the same arena.
  await session.evaluate(batch, draws);
  expect(session.memory().arena!.peak).toBe(stepped.arena!.peak);
  await session.release();

  const other = await createTrainSession({ artifact, params: testParams(config), runtime: "node" });
  await other.step(batch, draws, 1e-3);
  expect(other.memory()).toEqual({ tensors });
  await other.release();
});

test("the parameters that training started from are not its own", async () => {
  const params = testParams(config);
  const before = new Map([...params].map(([name, { data }]) => [name, data.slice()]));
  const session = await createTrainSession({ artifact, params });
  const state = await session.state();
  await session.step(batch, draws, 1e-2);
  for (const [name, data] of before) {
    expect(params.get(name)!.data, name).toEqual(data);
    expect(state.params.get(name)!.data, name).toEqual(data);
    expect(state.ema!.get(name)!.data, name).toEqual(data);
  }
  await session.release();
});
