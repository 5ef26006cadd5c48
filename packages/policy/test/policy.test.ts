import { droidInputs, droidOutputs, makeDroidExample } from "@insula/droid-policy";
import {
  FASTTokenizer,
  FastActionTokenizer,
  fitFastTokenizer,
  makeByteTokenizer,
  resolveVocabulary,
} from "@insula/fast-tokenizer";
import { initParams } from "@insula/ki-model";
import { makeModelConfig, type NdArray } from "@insula/model-types";
import {
  group,
  modelTransforms,
  type NormStatsMap,
  named,
  normalize,
  pushGroup,
  unnormalize,
} from "@insula/transforms";
import { expect, test } from "vitest";
import { createPolicy, type PolicyOptions } from "../src/index.js";

const text = makeByteTokenizer();
const chunks = Array.from({ length: 8 }, (_, c) => ({
  data: Float64Array.from({ length: 6 * 8 }, (_, i) => Math.sin(c + i / 9)),
  shape: [6, 8],
}));
const fast = new FastActionTokenizer(fitFastTokenizer(chunks, { vocabSize: 320, byteAlphabet: true }));
const { vocabSize } = resolveVocabulary({
  textVocabSize: text.vocabSize,
  fastVocabSize: fast.vocabSize,
  fastSkipTokens: 128,
});
const heads = { numHeads: 2, numKvHeads: 1, headDim: 8 };
const config = makeModelConfig({
  pi05: true,
  knowledgeInsulation: true,
  actionDim: 10,
  actionHorizon: 6,
  maxTokenLen: 160,
  imageSize: 28,
  vocabSize,
  vlm: { width: 16, depth: 1, mlpDim: 16, ...heads },
  expert: { width: 16, depth: 1, mlpDim: 16, ...heads },
  siglip: { width: 16, depth: 1, mlpDim: 16, numHeads: 2, patchSize: 14 },
});
const range = { mean: Array(8).fill(1), std: Array(8).fill(1), q01: Array(8).fill(0), q99: Array(8).fill(2) };
const each = (xs: Record<string, number[]>) =>
  Object.fromEntries(Object.entries(xs).map(([k, v]) => [k, Float64Array.from(v)]));
const stats = { state: each(range), actions: each(range) } as unknown as NormStatsMap;
const tokenizer = new FASTTokenizer(config.maxTokenLen, { text, fast, vocabSize });
const robot = group({ inputs: [droidInputs("pi05_ki")], outputs: [droidOutputs()] });
const norm = group({
  inputs: [normalize(stats, { useQuantiles: true })],
  outputs: [unnormalize(stats, { useQuantiles: true })],
});
const model = modelTransforms({
  modelType: "pi05_ki",
  actionDim: 10,
  actionHorizon: 6,
  imageSize: 28,
  fastTokenizer: tokenizer,
});
const { inputs, outputs } = pushGroup(pushGroup(robot, norm), model);

const options = (changes: Partial<PolicyOptions> = {}): PolicyOptions => ({
  config,
  params: initParams(config, 0),
  inputs,
  outputs,
  normal: (out) => out.map((_, i) => Math.sin(7 * i)),
  ...changes,
});

test("a DROID observation becomes a chunk of DROID actions", async () => {
  const policy = await createPolicy(options());
  const result = await policy.infer(makeDroidExample({ seed: 1 }));
  const actions = result["actions"] as NdArray<Float64Array>;
  expect(actions.shape).toEqual([6, 8]);
  expect(Array.from(actions.data).every(Number.isFinite)).toBe(true);
  expect((result["policy_timing"] as { infer_ms: number }).infer_ms).toBeGreaterThan(0);
  await policy.release();
});

test("the same noise gives the same actions, other noise others; recorded actions are never looked at", async () => {
  const policy = await createPolicy(options());
  const observation = makeDroidExample({ seed: 1 });
  const noise = (k: number) => ({
    data: new Float32Array(60).map((_, i) => Math.cos(k * i)),
    shape: [6, 10],
  });
  const first = await policy.infer(observation, { noise: noise(1) });
  const again = await policy.infer({ ...observation, actions: chunks[0]! }, { noise: noise(1) });
  const other = await policy.infer(observation, { noise: noise(2) });
  expect(again["actions"]).toEqual(first["actions"]);
  expect(other["actions"]).not.toEqual(first["actions"]);
  await policy.release();
});

test("a camera that the robot lacks may be left out of the graph", async () => {
  const observation = makeDroidExample({ seed: 1 });
  const all = await createPolicy(options());
  const two = await createPolicy(options({ imageKeys: config.imageKeys.slice(0, 2) }));
  const numbers = async (policy: typeof all) =>
    ((await policy.infer(observation))["actions"] as NdArray<Float64Array>).data;
  expect(await numbers(two)).toBeAllclose(await numbers(all), { rtol: 1e-5 });
  await all.release();
  await two.release();
});

test("noise of the wrong shape is named", async () => {
  const policy = await createPolicy(options());
  const noise = { data: new Float32Array(48), shape: [6, 8] };
  await expect(
    policy.infer(makeDroidExample({ seed: 1 }), { noise }),
  ).rejects.toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: policy: noise: expected [6, 10], found [6, 8]]`,
  );
  await policy.release();
});

test("a batch gives each observation the actions that it gets alone, filled up or not", async () => {
  // Fresh gates are zero and the expert blind: a nudge lets the actions depend on what is seen.
  const params = initParams(config, 0);
  for (const { data } of params.values()) for (const i of data.keys()) data[i]! += 0.1 * Math.sin(i);
  const policy = await createPolicy(options({ params, batchSizes: [4, 1] }));
  expect(policy.maxBatch).toBe(4);
  const noise = { data: new Float32Array(60).map((_, i) => Math.cos(i)), shape: [6, 10] };
  const observations = [1, 2, 3].map((seed) => makeDroidExample({ seed }));
  const actionsOf = (result: Record<string, unknown>) => (result["actions"] as NdArray<Float64Array>).data;
  const alone = [];
  for (const observation of observations) alone.push(await policy.infer(observation, { noise }));
  const together = await policy.run(observations.map((o) => policy.prepare(o, { noise })));
  expect(together).toHaveLength(3);
  for (const [i, result] of together.entries()) {
    expect(actionsOf(result)).toBeAllclose(actionsOf(alone[i]!), { rtol: 1e-4, atol: 1e-5 });
  }
  expect(actionsOf(alone[0]!)).not.toEqual(actionsOf(alone[1]!));
  const prepared = policy.prepare(observations[0]!);
  await expect(policy.run(Array(5).fill(prepared))).rejects.toMatchObject({ code: "policy/batch" });
  await policy.release();
});

test("two batches at the same time give the same actions as one after the other", async () => {
  const policy = await createPolicy(options({ parallel: 2, threads: 1 }));
  expect(policy.maxParallel).toBe(2);
  const noise = (k: number) => ({
    data: new Float32Array(60).map((_, i) => Math.cos(k * i)),
    shape: [6, 10],
  });
  const prepared = [1, 2, 3, 4].map((k) =>
    policy.prepare(makeDroidExample({ seed: k }), { noise: noise(k) }),
  );
  const together = await Promise.all(prepared.map((p) => policy.run([p])));
  for (const [i, [result]] of together.entries()) {
    const [alone] = await policy.run([prepared[i]!]);
    expect(result!["actions"]).toEqual(alone!["actions"]);
  }
  await policy.release();
  // Without a number of threads the cores are divided, and who comes alone has all of them.
  const divided = await createPolicy(options({ parallel: 2 }));
  const mixed = await Promise.all(prepared.map((p) => divided.run([p])));
  for (const [i, [result]] of mixed.entries()) {
    const [first] = together[i]!;
    expect((result!["actions"] as NdArray).data).toBeAllclose((first!["actions"] as NdArray).data, {
      rtol: 1e-4,
      atol: 1e-5,
    });
  }
  await divided.release();
  await expect(createPolicy(options({ parallel: 0 }))).rejects.toMatchObject({ code: "policy/parallel" });
});

test("calls that overlap are answered in turn, and none counts another's time", async () => {
  const policy = await createPolicy(options());
  const one = policy.prepare(makeDroidExample({ seed: 1 }));
  await policy.run([one]);
  const begin = performance.now();
  const results = await Promise.all([policy.run([one]), policy.run([one]), policy.run([one])]);
  const wall = performance.now() - begin;
  const sum = results.reduce((t, [r]) => t + (r!["policy_timing"] as { infer_ms: number }).infer_ms, 0);
  expect(sum).toBeLessThanOrEqual(wall);
  await policy.release();
});

test("the transforms are applied in openpi's order, the state of the outputs is the model's", async () => {
  const calls: string[] = [];
  const spy = (name: string) =>
    named(name, (sample) => {
      calls.push(`${name}(${Object.keys(sample).sort().join()})`);
      return sample;
    });
  const policy = await createPolicy(
    options({ inputs: [spy("first"), ...inputs, spy("last")], outputs: [spy("out"), ...outputs] }),
  );
  const result = await policy.infer({ ...makeDroidExample({ seed: 1 }), actions: chunks[0]! });
  expect(calls.map((c) => c.slice(0, c.indexOf("(")))).toEqual(["first", "last", "out"]);
  expect(calls[0]).not.toContain("actions");
  expect(calls[2]).toBe("out(actions,state)");
  expect(Object.keys(result)).toEqual(["actions", "policy_timing"]);
  await policy.release();
});
