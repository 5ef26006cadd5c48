import { InsulaError, type NdArray, type Sample } from "@insula/model-types";
import { absoluteActions, compose, deltaActions } from "@insula/transforms";
import { expect, test } from "vitest";
import {
  ALOHA_CAMERAS,
  alohaActionsToModel,
  alohaDeltaMask,
  alohaInputs,
  alohaOutputs,
  alohaRepack,
  alohaStateToModel,
  makeAlohaExample,
} from "../src/index.js";

/** 2×2 images, channels first, of one value. */
const chw = (v: number) => ({ data: new Uint8Array(12).fill(v), shape: [3, 2, 2] });
const hwc = (v: number) => ({ data: new Uint8Array(12).fill(v), shape: [2, 2, 3] });
const state = { data: Float64Array.from({ length: 14 }, (_, i) => i / 20), shape: [14] };
const actions = { data: Float64Array.from({ length: 28 }, (_, i) => Math.sin(i)), shape: [2, 14] };
const sample: Sample = {
  images: { cam_high: chw(1), cam_low: chw(9), cam_left_wrist: chw(2), cam_right_wrist: chw(3) },
  state,
  actions,
  actions_is_pad: { data: Uint8Array.of(0, 1), shape: [2] },
  prompt: "uncap the pen",
};

test("cameras to the model's names, converted state and actions, the rest as it is", () => {
  const out = alohaInputs()(sample);
  expect(Object.entries(out["image"] as Sample)).toEqual([
    ["base_0_rgb", hwc(1)],
    ["left_wrist_0_rgb", hwc(2)],
    ["right_wrist_0_rgb", hwc(3)],
  ]);
  expect(out["image_mask"]).toEqual({ base_0_rgb: true, left_wrist_0_rgb: true, right_wrist_0_rgb: true });
  expect(out["state"]).toEqual(alohaStateToModel(state));
  expect(out["actions"]).toEqual(alohaActionsToModel(actions));
  for (const key of ["actions_is_pad", "prompt"]) expect(out[key]).toBe(sample[key]);
});

test("missing wrist cameras are black and masked out; keys may be flat", () => {
  const out = alohaInputs()({ "images/cam_high": chw(1), state });
  expect(out["image"]).toEqual({ base_0_rgb: hwc(1), left_wrist_0_rgb: hwc(0), right_wrist_0_rgb: hwc(0) });
  expect(out["image_mask"]).toEqual({ base_0_rgb: true, left_wrist_0_rgb: false, right_wrist_0_rgb: false });
  expect(out).not.toHaveProperty("actions");
});

test("without adaptToPi, numbers pass as they are", () => {
  const out = alohaInputs({ adaptToPi: false })(sample);
  expect(out["state"]).toBe(state);
  expect(out["actions"]).toBe(actions);
  const back = alohaOutputs({ adaptToPi: false })({ actions });
  expect(back["actions"]).toEqual(actions);
});

test("differences to the state and back, all the way", () => {
  const inputs = compose([alohaInputs(), deltaActions(alohaDeltaMask())])(sample);
  const first = (inputs["actions"] as NdArray).data;
  expect(first[1]).toBeCloseTo(-Math.sin(1) + state.data[1]!, 12);
  const { state: s, actions: a } = inputs;
  const out = compose([absoluteActions(alohaDeltaMask()), alohaOutputs()])({ state: s!, actions: a! });
  expect(Object.keys(out)).toEqual(["actions"]);
  expect((out["actions"] as NdArray).data).toBeAllclose(actions.data, { atol: 1e-12 });
});

test("outputs cut what the model padded, batched or not", () => {
  const wide = { data: Float32Array.from({ length: 2 * 3 * 16 }, (_, i) => i), shape: [2, 3, 16] };
  const out = alohaOutputs({ adaptToPi: false })({ actions: wide });
  expect(out["actions"]).toEqual({ data: wide.data.filter((i) => i % 16 < 14), shape: [2, 3, 14] });
});

test("repack: upstream's columns, or the cameras named", () => {
  const dataset: Sample = {
    "observation.images.top": hwc(1),
    "observation.state": state,
    action: actions,
    action_is_pad: { data: new Uint8Array(2), shape: [2] },
    task_index: 0n,
  };
  expect(alohaRepack()(dataset)).toEqual({
    images: { cam_high: hwc(1) },
    state,
    actions,
    actions_is_pad: dataset["action_is_pad"],
  });
  const cameras = {
    cam_high: "observation.images.cam_high",
    cam_left_wrist: "observation.images.cam_left_wrist",
  };
  const out = alohaRepack(cameras)({
    ...dataset,
    "observation.images.cam_high": hwc(1),
    "observation.images.cam_left_wrist": hwc(2),
    prompt: "go",
  });
  expect(out).toMatchObject({ images: { cam_high: hwc(1), cam_left_wrist: hwc(2) }, prompt: "go" });
  expect(() => alohaRepack(cameras)(dataset)).toThrow("missing key 'observation.images.cam_high'");
});

test("the example looks like a robot's observation", () => {
  const example = makeAlohaExample({ seed: 1 });
  expect(Object.keys(example.images)).toEqual([...ALOHA_CAMERAS]);
  expect(example.images.cam_low.shape).toEqual([3, 224, 224]);
  expect(example.state).toEqual({ data: new Float64Array(14).fill(1), shape: [14] });
  const bytes = (seed?: number) =>
    Buffer.from(makeAlohaExample(seed === undefined ? {} : { seed }).images.cam_high.data);
  expect(bytes(1).equals(bytes(1))).toBe(true);
  expect(bytes(1).equals(bytes(2))).toBe(false);
  expect(bytes().equals(bytes())).toBe(false);
});

test("what does not fit is named", () => {
  const run = (changes: Sample) => () => alohaInputs()({ ...sample, ...changes });
  expect(run({ images: { cam_high: chw(1), cam_hihg: chw(1) } })).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: alohaInputs: images/cam_hihg: expected cameras cam_high, cam_low, cam_left_wrist, cam_right_wrist; did you mean 'cam_high'?]`,
  );
  expect(() => alohaInputs()({ images: { cam_low: chw(1) }, state })).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: alohaInputs: missing key 'images/cam_high' (available: images/cam_low, state)]`,
  );
  expect(() => alohaInputs()({ images: { cam_high: chw(1) } })).toThrow("alohaInputs: missing key 'state'");
  expect(run({ images: { cam_high: 3 } })).toThrow(
    "images/cam_high: expected an image [3, h, w] or [h, w, 3], found a number",
  );
  expect(run({ images: { cam_high: { data: new Uint8Array(4), shape: [2, 2] } } })).toThrow("found [2, 2]");
  expect(run({ state: { data: new Float32Array(7), shape: [7] } })).toThrow(
    "state: expected [14], found [7]",
  );
  expect(run({ actions: { data: new Float32Array(14), shape: [14] } })).toThrow(
    "actions: expected [horizon, 14], found [14]",
  );
  expect(run({ prompt: 3 })).toThrow(InsulaError);
  expect(() => alohaOutputs()({})).toThrow("alohaOutputs: missing key 'actions' (available: none)");
  expect(() => alohaOutputs()({ actions: { data: new Float32Array(7), shape: [1, 7] } })).toThrow(
    "actions: expected [..., 14 or more], found [1, 7]",
  );
});
