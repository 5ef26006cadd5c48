import type { Observation } from "@insula/model-types";
import { serialize, type Value } from "@insula/onnx-grad";
import { createSession, tensor } from "@insula/ort-session";
import { describeShared, sharedJson, sharedTensors } from "@insula/test-kit";
import { expect, test } from "vitest";
import {
  buildTrainingModel,
  createFastSampler,
  createSampler,
  pickFeeds,
  toFileParams,
  toGraphParams,
  trainFeeds,
} from "../src/index.js";
import { type GoldenCase, goldenCase } from "./golden-case.js";

/** Run the training graph with some of its taps as further outputs. */
async function run(golden: GoldenCase, taps: readonly string[]) {
  const model = buildTrainingModel(golden.config, { batchSize: golden.batchSize });
  const outputs = new Map<string, Value>(model.outputs);
  for (const name of taps) outputs.set(`tap/${name}`, model.context.taps.get(name)!);
  const session = await createSession(serialize(model.context.graph, outputs).bytes);
  const weights = toGraphParams(model.context.specs, golden.params);
  const feeds = pickFeeds(session.inputs, trainFeeds(golden.batch, golden.draws), (n) => weights.has(n));
  for (const { name } of session.inputs) {
    const weight = weights.get(name);
    if (weight) feeds[name] = tensor(weight.data, weight.shape);
  }
  const out = await session.run(feeds);
  await session.release();
  return { model, out };
}

/** The observation as at inference: prompts without FAST tokens. */
function promptOnly(observation: Observation): Observation {
  const ar = observation.tokenArMask!.data;
  const { data, shape } = observation.tokenizedPromptMask!;
  return { ...observation, tokenizedPromptMask: { data: data.map((m, i) => (ar[i] ? 0 : m)), shape } };
}

describeShared("forward passes against the reference", () => {
  for (const name of ["pi0", "pi05", "pi05_asym"]) {
    test(`${name}: velocity, masks, positions, per-step loss`, async () => {
      const golden = goldenCase("model", name);
      const { out } = await run(golden, [
        "v_t",
        "attn_mask",
        "positions",
        "action_loss_per_step",
        "suffix_out",
      ]);
      for (const [tap, key] of [
        ["v_t", "v_t"],
        ["suffix_out", "suffix_out"],
        ["action_loss_per_step", "loss_per_step"],
      ] as const) {
        expect(out[`tap/${tap}`]!.data, key).toBeAllclose(golden.outputs.get(key)!.data, { rtol: 1e-4 });
      }
      expect([...out["tap/attn_mask"]!.data]).toEqual([...golden.outputs.get("attn_mask")!.data]);
      expect([...out["tap/positions"]!.data]).toEqual([...golden.outputs.get("positions")!.data]);
    });

    test(`${name}: sampled actions`, async () => {
      const golden = goldenCase("model", name);
      const sampler = await createSampler({
        config: golden.config,
        params: golden.params,
        batchSize: golden.batchSize,
      });
      for (const numSteps of [1, 5, 10]) {
        const actions = await sampler.sample(golden.batch.observation, golden.draws.noise, { numSteps });
        expect(actions.data).toBeAllclose(golden.outputs.get(`sample_actions_${numSteps}`)!.data, {
          rtol: 1e-4,
        });
      }
      await sampler.release();
    });
  }

  test("pi0_fast: loss, gradients, greedy tokens", async () => {
    const golden = goldenCase("model", "pi0fast");
    const { loss_mean } = sharedJson<{ loss_mean: number }>(
      "golden",
      "public",
      "model",
      "pi0fast",
      "config.json",
    );
    const { model, out } = await run(golden, ["fast_loss_per_example"]);
    expect(Math.abs((out["total"]!.data[0] as number) / loss_mean - 1)).toBeLessThan(2e-5);
    expect(out["tap/fast_loss_per_example"]!.data).toBeAllclose(
      golden.outputs.get("loss_per_example")!.data,
      { rtol: 2e-5 },
    );
    const tree = toFileParams(
      model.context.specs,
      new Map(model.trainable.map((s) => [s.name, out[`grad/${s.name}`]!])),
    );
    for (const [path, { data }] of sharedTensors(
      "golden",
      "public",
      "model",
      "pi0fast",
      "grads.safetensors",
    )) {
      expect(tree.get(path)!.data, path).toBeAllclose(data, { rtol: 1e-4, atol: 1e-6 });
    }
    const sampler = await createFastSampler({
      config: golden.config,
      params: golden.params,
      batchSize: golden.batchSize,
      maxDecodingSteps: 12,
    });
    const tokens = await sampler.sample(promptOnly(golden.batch.observation));
    expect([...tokens]).toEqual([...golden.outputs.get("greedy_tokens_12")!.data].map(Number));
    await sampler.release();
  });
});
