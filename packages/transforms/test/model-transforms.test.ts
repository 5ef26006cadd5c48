import type { ModelType, NdArray, Sample } from "@insula/model-types";
import { expect, test } from "vitest";
import {
  collate,
  compose,
  extractFASTActions,
  modelTransforms,
  tokenizeFASTInputs,
  tokenizePrompt,
  toObservation,
} from "../src/index.js";
import { byteFastTokenizer, bytePromptTokenizer } from "./byte-tokenizers.js";

const image = (h: number, w: number) => ({ data: new Uint8Array(h * w * 3).fill(100), shape: [h, w, 3] });
const sample = (seed = 0): Sample => ({
  image: { base_0_rgb: image(8, 16), wrist_0_rgb: image(16, 16) },
  image_mask: { base_0_rgb: true, wrist_0_rgb: false },
  state: { data: Float64Array.of(0.25, -0.5, seed), shape: [3] },
  actions: { data: Float64Array.of(0.5, 0.25, -0.5, 1, 0, -1), shape: [2, 3] },
  actions_is_pad: { data: Uint8Array.of(0, seed), shape: [2] },
  prompt: "Pick",
});
const base = { actionDim: 5, actionHorizon: 2, imageSize: 16 };
const promptTokenizer = bytePromptTokenizer(64);
const fastTokenizer = byteFastTokenizer(64);
const names = (modelType: ModelType) => {
  const { inputs, outputs } = modelTransforms({ ...base, modelType, promptTokenizer, fastTokenizer });
  return [inputs.map((t) => t.name), outputs.map((t) => t.name)];
};

test("the sequence of each model type", () => {
  const prompt = ["injectDefaultPrompt", "resizeImages", "tokenizePrompt", "padStatesAndActions"];
  const fast = ["injectDefaultPrompt", "resizeImages", "tokenizeFASTInputs"];
  expect(names("pi0")).toEqual([prompt, []]);
  expect(names("pi05")).toEqual([prompt, []]);
  expect(names("pi05_ki")).toEqual([[...fast, "padStatesAndActions"], []]);
  expect(names("pi0_fast")).toEqual([fast, ["extractFASTActions"]]);
});

test("pi05_ki: tokens hold the real dims, state and actions are padded after", () => {
  const { inputs } = modelTransforms({ ...base, modelType: "pi05_ki", fastTokenizer });
  const out = compose(inputs)(sample());
  const { actions, state, prompt: text } = sample();
  const direct = fastTokenizer.tokenize(
    text as string,
    (state as NdArray<Float64Array>).data,
    actions as NdArray,
  );
  expect(direct.lossMask.reduce((a, b) => a + b)).toBe(6);
  expect(out).toMatchObject({
    tokenized_prompt: { data: direct.tokens, shape: [64] },
    tokenized_prompt_mask: { data: direct.tokenMask },
    token_ar_mask: { data: Int32Array.from(direct.arMask) },
    token_loss_mask: { data: direct.lossMask },
    state: { shape: [5] },
    actions: { shape: [2, 5] },
    actions_is_pad: { shape: [2] },
    image: { base_0_rgb: { shape: [16, 16, 3] } },
  });
  expect(out).not.toHaveProperty("prompt");
});

test("at inference there are no actions: the prompt alone", () => {
  const { inputs } = modelTransforms({ ...base, modelType: "pi05_ki", fastTokenizer, defaultPrompt: "go" });
  const { actions: _, actions_is_pad: __, prompt: ___, ...observation } = sample();
  const out = compose(inputs)(observation);
  expect((out["token_loss_mask"] as NdArray<Uint8Array>).data.every((v) => v === 0)).toBe(true);
  expect(out).not.toHaveProperty("actions");
});

test("pi05 writes the state into the prompt, pi0 does not", () => {
  const run = (modelType: ModelType, discreteStateInput?: boolean) =>
    compose(
      modelTransforms({
        ...base,
        modelType,
        promptTokenizer,
        ...(discreteStateInput === undefined ? {} : { discreteStateInput }),
      }).inputs,
    )(sample())["tokenized_prompt"];
  const tokens = (state?: number[]) => ({
    data: promptTokenizer.tokenize("Pick", state).tokens,
    shape: [64],
  });
  expect(run("pi0")).toEqual(tokens());
  expect(run("pi05")).toEqual(tokens([0.25, -0.5, 0]));
  expect(run("pi05", false)).toEqual(tokens());
});

test("pi0_fast decodes what it encodes", () => {
  const { inputs, outputs } = modelTransforms({
    ...base,
    actionDim: 3,
    modelType: "pi0_fast",
    fastTokenizer,
  });
  const { actions } = sample();
  const tokens = compose(inputs)(sample())["tokenized_prompt"] as NdArray<Int32Array>;
  // a sampler returns float32 ids
  const sampled = { data: Float32Array.from(tokens.data), shape: tokens.shape };
  expect(compose(outputs)({ actions: sampled })["actions"]).toEqual(actions);
  expect(compose(outputs)({ state: 1 })).toEqual({ state: 1 });
});

test("a missing or unfit tokenizer is named with its remedy", () => {
  expect(() => modelTransforms({ ...base, modelType: "pi05" })).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: modelTransforms: pi05 needs a promptTokenizer: new PaligemmaTokenizer(maxTokenLen, { text }) of @insula/fast-tokenizer]`,
  );
  expect(() =>
    modelTransforms({ ...base, modelType: "pi05_ki", promptTokenizer }),
  ).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: modelTransforms: pi05_ki needs a fastTokenizer: new FASTTokenizer(maxTokenLen, { text, fast }) of @insula/fast-tokenizer]`,
  );
  expect(() =>
    modelTransforms({ ...base, modelType: "pi05_ki", fastTokenizer, promptFormat: "pi05" }),
  ).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: modelTransforms: pi05_ki with promptFormat 'pi05' needs a fastTokenizer of that format, found 'fast': make it with FASTTokenizer(maxTokenLen, { promptFormat: "pi05", … })]`,
  );
  const pi05 = byteFastTokenizer(64, "pi05");
  expect(
    modelTransforms({ ...base, modelType: "pi05_ki", fastTokenizer: pi05, promptFormat: "pi05" }).inputs,
  ).toHaveLength(4);
  expect(() => modelTransforms({ ...base, modelType: "pi05_ki", fastTokenizer: pi05 })).toThrow(
    "promptFormat 'fast'",
  );
  expect(() => modelTransforms({ ...base, modelType: "pi06" as ModelType })).toThrow("found 'pi06'");
  const { extractActions: _, ...encodeOnly } = fastTokenizer;
  expect(() => extractFASTActions(encodeOnly, { horizon: 1, dim: 1 })).toThrow("has no extractActions");
});

test("tokenizePrompt: what is required", () => {
  expect(() => tokenizePrompt(promptTokenizer)({ state: 1 })).toThrow("Prompt is required");
  expect(() => tokenizePrompt(promptTokenizer, { discreteStateInput: true })({ prompt: "x" })).toThrow(
    "State is required.",
  );
  expect(() => tokenizeFASTInputs(fastTokenizer)({ prompt: "x" })).toThrow("State is required.");
  const asBytes = { data: new TextEncoder().encode("Pick"), shape: [4] };
  expect(tokenizePrompt(promptTokenizer)({ prompt: asBytes })).toEqual(
    tokenizePrompt(promptTokenizer)({ prompt: "Pick" }),
  );
});

test("truncation is reported before the sample is used", () => {
  const seen: unknown[] = [];
  tokenizeFASTInputs(byteFastTokenizer(8), { onTruncated: (details) => seen.push(details) })(sample());
  tokenizeFASTInputs(fastTokenizer, { onTruncated: (details) => seen.push(details) })(sample());
  expect(seen).toEqual([{ prompt: "Pick", maxLen: 8 }]);
});

test("collate stacks samples into an observation", () => {
  const run = compose(modelTransforms({ ...base, modelType: "pi05_ki", fastTokenizer }).inputs);
  const samples = [run(sample(0)), run(sample(1))];
  const { observation, actions, actionMask } = collate(samples, { realActionDim: 3 });
  expect(observation.images["base_0_rgb"]!.shape).toEqual([2, 16, 16, 3]);
  expect(observation.imageMasks).toEqual({
    base_0_rgb: { data: Uint8Array.of(1, 1), shape: [2] },
    wrist_0_rgb: { data: Uint8Array.of(0, 0), shape: [2] },
  });
  expect(observation.state).toEqual({
    data: Float32Array.of(0.25, -0.5, 0, 0, 0, 0.25, -0.5, 1, 0, 0),
    shape: [2, 5],
  });
  expect(observation.tokenizedPrompt!.shape).toEqual([2, 64]);
  expect(observation.tokenArMask!.data).toBeInstanceOf(Int32Array);
  expect(observation.tokenLossMask!.data).toEqual(
    Uint8Array.from(samples.flatMap((s) => [...(s["token_loss_mask"] as NdArray<Uint8Array>).data])),
  );
  expect(actions!.shape).toEqual([2, 2, 5]);
  expect(actions!.data).toBeInstanceOf(Float32Array);
  expect(actionMask).toEqual({
    data: Float32Array.of(...[1, 1, 1, 0, 0], ...[1, 1, 1, 0, 0], ...[1, 1, 1, 0, 0], ...[0, 0, 0, 0, 0]),
    shape: [2, 2, 5],
  });
});

test("toObservation: no actions, no masks, no tokens", () => {
  const { image: cameras, state } = sample();
  const observation = toObservation([{ image: cameras!, state: state! }]);
  expect(observation.imageMasks["wrist_0_rgb"]).toEqual({ data: Uint8Array.of(1), shape: [1] });
  expect(observation.tokenizedPrompt).toBeUndefined();
});

test("collate says which sample disagrees, and in what", () => {
  const other = { ...sample(), state: { data: Float64Array.of(1), shape: [1] } };
  expect(() => collate([sample(), other])).toThrow(
    "collate: state: expected [3] as in sample 0, found [1] in sample 1",
  );
  const { base_0_rgb: _, ...fewer } = sample()["image"] as Record<string, NdArray>;
  expect(() => collate([sample(), { ...sample(), image: fewer }])).toThrow(
    "collate: image: sample 1: missing key 'base_0_rgb' (available: wrist_0_rgb)",
  );
  expect(() => collate([])).toThrow("expected at least one sample");
  expect(() => collate([{ state: 1 }])).toThrow("under 'image'");
  const tokens = { data: Int32Array.of(1), shape: [1] };
  expect(() => collate([{ ...sample(), tokenized_prompt: tokens }])).toThrow("must be provided together");
});
