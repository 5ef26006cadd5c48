/** A DROID sample all the way: robot → normalise → model transforms → batch, with real tokenizers. */
import {
  FASTTokenizer,
  FastActionTokenizer,
  fitFastTokenizer,
  makeByteTokenizer,
  resolveVocabulary,
} from "@insula/fast-tokenizer";
import type { NdArray, Sample } from "@insula/model-types";
import {
  absoluteActions,
  collate,
  compose,
  createRunningStats,
  deltaActions,
  getStatistics,
  makeBoolMask,
  modelTransforms,
  normalize,
  unnormalize,
  updateRunningStats,
} from "@insula/transforms";
import { expect, test } from "vitest";
import { droidInputs, droidOutputs, droidState, makeDroidExample } from "../src/index.js";

const [HORIZON, MAX_LEN] = [16, 256];

/** Smooth joint motions around the state, as positions. */
function episodeSample(seed: number): Sample & { actions: NdArray<Float64Array> } {
  const example = makeDroidExample({ seed });
  const joints = example["observation/joint_position"].data;
  const data = Float64Array.from({ length: HORIZON * 8 }, (_, i) => {
    const [t, d] = [Math.floor(i / 8), i % 8];
    return d < 7 ? joints[d]! + 0.3 * Math.sin(0.2 * t + d + seed) : Number(Math.sin(seed + t / 4) > 0);
  });
  return { ...example, actions: { data, shape: [HORIZON, 8] } };
}

const samples = Array.from({ length: 24 }, (_, i) => episodeSample(i));
const mask = makeBoolMask(7, -1);
const delta = deltaActions(mask);
const [state, actions] = [createRunningStats(), createRunningStats()];
for (const sample of samples) {
  const s = droidState(sample);
  updateRunningStats(state, s);
  updateRunningStats(actions, delta({ state: s, actions: sample.actions })["actions"] as NdArray);
}
const stats = { state: getStatistics(state), actions: getStatistics(actions) };
const data = compose([droidInputs("pi05_ki"), delta, normalize(stats, { useQuantiles: true })]);

const text = makeByteTokenizer({ pieces: ["Task: ", ", State: ", ";\n", "Action", ":", " ", "|"] });
const fast = new FastActionTokenizer(
  fitFastTokenizer(
    samples.map((s) => data(s)["actions"] as NdArray),
    { vocabSize: 512, byteAlphabet: true },
  ),
);
const { vocabSize } = resolveVocabulary({ textVocabSize: text.vocabSize, fastVocabSize: fast.vocabSize });
const fastTokenizer = new FASTTokenizer(MAX_LEN, { text, fast, vocabSize });
const model = modelTransforms({ modelType: "pi05_ki", actionDim: 32, actionHorizon: HORIZON, fastTokenizer });
const pipeline = compose([data, ...model.inputs]);

test("pi05_ki: tokens, causal part and loss mask", () => {
  const batch = collate([pipeline(samples[0]!), pipeline(samples[1]!)], { realActionDim: 8 });
  const { observation } = batch;
  const { tokenizedPrompt, tokenizedPromptMask, tokenLossMask, tokenArMask } = observation;
  for (const x of [tokenizedPrompt, tokenizedPromptMask, tokenLossMask, tokenArMask]) {
    expect(x!.shape).toEqual([2, MAX_LEN]);
  }
  for (const row of [0, 1]) {
    const of = <T extends Int32Array | Uint8Array>(x?: NdArray<T>) =>
      x!.data.subarray(row * MAX_LEN, (row + 1) * MAX_LEN);
    const length = of(tokenizedPromptMask).lastIndexOf(1) + 1;
    const first = of(tokenLossMask).indexOf(1);
    // prompt, then the causal part, then padding
    expect(of(tokenizedPromptMask)).toEqual(new Uint8Array(MAX_LEN).fill(1, 0, length));
    expect(of(tokenLossMask)).toEqual(new Uint8Array(MAX_LEN).fill(1, first, length));
    expect([...of(tokenArMask)]).toEqual([...of(tokenLossMask)]);
    const ids = of(tokenizedPrompt);
    expect(text.decode(ids.subarray(0, first))).toMatch(/^Task: do something, State: (-?\d+ ){7}-?\d+;\n$/);
    expect([...ids.subarray(length)].every((id) => id === text.padId)).toBe(true);
    expect(ids[length - 1]).toBe(text.eosId);
    // the codes are those of the normalised, unpadded differences
    const decoded = fastTokenizer.extractActions(ids, { horizon: HORIZON, dim: 8 }).actions.data;
    const expected = (data(samples[row]!)["actions"] as NdArray).data;
    expect(decoded).toBeAllclose(expected, { atol: 0.35 });
    expect(batch.actions!.data.subarray(row * HORIZON * 32, row * HORIZON * 32 + 8)).toBeAllclose(
      expected.subarray(0, 8) as Float64Array,
      { atol: 1e-6 },
    );
  }
  expect(observation.state.shape).toEqual([2, 32]);
  expect(batch.actions!.shape).toEqual([2, HORIZON, 32]);
  expect(batch.actionMask!.data.reduce((a, b) => a + b)).toBe(2 * HORIZON * 8);
  expect(
    Object.fromEntries(Object.entries(observation.imageMasks).map(([k, v]) => [k, [...v.data]])),
  ).toEqual({
    base_0_rgb: [1, 1],
    left_wrist_0_rgb: [1, 1],
    right_wrist_0_rgb: [0, 0],
  });
});

test("at inference the tokens are the prompt of training, and nothing follows", () => {
  const { actions: _, ...observation } = samples[0]!;
  const out = pipeline(observation);
  const training = pipeline(samples[0]!);
  const ids = (out["tokenized_prompt"] as NdArray<Int32Array>).data;
  const length = (out["tokenized_prompt_mask"] as NdArray<Uint8Array>).data.lastIndexOf(1) + 1;
  expect(ids.subarray(0, length)).toEqual(
    (training["tokenized_prompt"] as NdArray<Int32Array>).data.subarray(0, length),
  );
  expect((out["token_loss_mask"] as NdArray<Uint8Array>).data.includes(1)).toBe(false);
});

test("what the model returns comes back as joint positions", () => {
  const { state: s, actions: a } = pipeline(samples[3]!);
  const back = compose([unnormalize(stats, { useQuantiles: true }), absoluteActions(mask), droidOutputs()]);
  const out = back({ state: s!, actions: a! })["actions"] as NdArray;
  expect(out.shape).toEqual([HORIZON, 8]);
  expect(out.data).toBeAllclose(samples[3]!.actions.data, { atol: 1e-12 });
});
