import { InsulaError, ModelType, type NdArray, type Sample } from "@insula/model-types";
import { absoluteActions, compose, deltaActions, makeBoolMask } from "@insula/transforms";
import { expect, test } from "vitest";
import { liberoInputs, liberoOutputs, liberoRepack, liberoState, makeLiberoExample } from "../src/index.js";

const pixels = (v: number) => ({ data: new Uint8Array(12).fill(v), shape: [2, 2, 3] });
const dataset: Sample = {
  image: pixels(1),
  wrist_image: pixels(2),
  state: { data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), shape: [8] },
  actions: { data: Float32Array.from({ length: 14 }, (_, i) => i), shape: [2, 7] },
  actions_is_pad: { data: Uint8Array.of(0, 1), shape: [2] },
  prompt: "put the bowl on the plate",
  task_index: 3,
};

test.each(Object.values(ModelType))("%s: pi0's camera names, a black third image", (type) => {
  const out = compose([liberoRepack(), liberoInputs(type)])(dataset);
  expect(Object.keys(out).sort()).toEqual([
    "actions",
    "actions_is_pad",
    "image",
    "image_mask",
    "prompt",
    "state",
  ]);
  expect(Object.entries(out["image"] as Sample)).toEqual([
    ["base_0_rgb", pixels(1)],
    ["left_wrist_0_rgb", pixels(2)],
    ["right_wrist_0_rgb", pixels(0)],
  ]);
  expect(out["image_mask"]).toEqual({
    base_0_rgb: true,
    left_wrist_0_rgb: true,
    right_wrist_0_rgb: type === "pi0_fast",
  });
  for (const key of ["state", "actions", "actions_is_pad", "prompt"]) expect(out[key]).toBe(dataset[key]);
});

test("nested keys, floats with channels first, prompts in bytes, no actions", () => {
  const chw = { data: Float32Array.from({ length: 12 }, (_, i) => i / 255), shape: [3, 2, 2] };
  const prompt = { data: new TextEncoder().encode("Größe"), shape: [7] };
  const { state } = dataset;
  const out = liberoInputs("pi05_ki")({
    observation: { state, image: chw, wrist_image: chw },
    prompt,
  } as Sample);
  const image = { data: Uint8Array.of(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11), shape: [2, 2, 3] };
  expect(out["image"]).toMatchObject({ base_0_rgb: image, left_wrist_0_rgb: image });
  expect(out["prompt"]).toBe("Größe");
  expect(out).not.toHaveProperty("actions");
  expect(liberoState({ "observation/state": state! })).toBe(state);
});

test("outputs keep seven dims, batched or not, and their element type", () => {
  const actions = { data: Float32Array.from({ length: 2 * 3 * 9 }, (_, i) => i), shape: [2, 3, 9] };
  const out = liberoOutputs()({ actions, state: 1 });
  expect(Object.keys(out)).toEqual(["actions"]);
  expect(out["actions"]).toEqual({ data: actions.data.filter((i) => i % 9 < 7), shape: [2, 3, 7] });
});

test("the extra differences of the pi0 configurations are undone on the way out", () => {
  const mask = makeBoolMask(6, -1);
  const inputs = compose([liberoRepack(), liberoInputs("pi0"), deltaActions(mask)])(dataset);
  expect((inputs["actions"] as NdArray).data).toEqual(
    Float32Array.of(-1, -1, -1, -1, -1, -1, 6, 6, 6, 6, 6, 6, 6, 13),
  );
  expect(compose([absoluteActions(mask), liberoOutputs()])(inputs)["actions"]).toEqual(dataset["actions"]);
});

test("the example looks like a client's observation", () => {
  const example = makeLiberoExample();
  expect(example["observation/image"].shape).toEqual([224, 224, 3]);
  expect(example["observation/wrist_image"].data).toHaveLength(224 * 224 * 3);
  expect(example["observation/state"].data.every((x) => x >= 0 && x < 1)).toBe(true);
  const [a, b, c] = [3, 3, 4].map((seed) => makeLiberoExample({ seed })["observation/state"]);
  expect(a).toEqual(b);
  expect(a).not.toEqual(c);
  expect(liberoInputs("pi05")(example)["prompt"]).toBe("do something");
});

test("what does not fit is named", () => {
  const repacked = liberoRepack()(dataset);
  const run = (changes: Sample) => () => liberoInputs("pi05_ki")({ ...repacked, ...changes });
  const { "observation/wrist_image": _, ...noWrist } = repacked;
  expect(() => liberoInputs("pi05_ki")(noWrist)).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: liberoInputs: missing key 'observation/wrist_image' (available: observation/image, observation/state, actions, actions_is_pad, prompt)]`,
  );
  expect(run({ "observation/state": { data: new Float32Array(7), shape: [7] } })).toThrow(
    "observation/state: expected [8], found [7]",
  );
  expect(run({ "observation/state": "x" })).toThrow("observation/state: expected an array, found a string");
  expect(run({ "observation/image": { data: new Uint8Array(4), shape: [2, 2] } })).toThrow(
    "observation/image: expected an image [h, w, 3] or [3, h, w], found [2, 2]",
  );
  for (const shape of [[1, 8], [7]]) {
    const actions = { data: new Float32Array(8).subarray(0, shape.at(-1)!), shape };
    expect(run({ actions })).toThrow(`actions: expected [horizon, 7], found [${shape.join(", ")}]`);
  }
  expect(run({ prompt: 3 })).toThrow(InsulaError);
  expect(() => liberoInputs("pi06" as ModelType)).toThrow(
    "liberoInputs: expected one of pi0, pi05, pi0_fast, pi05_ki, found 'pi06'",
  );
  expect(() => liberoOutputs()({ state: 1 })).toThrow(
    "liberoOutputs: missing key 'actions' (available: state)",
  );
  expect(() => liberoOutputs()({ actions: { data: new Float32Array(6), shape: [1, 6] } })).toThrow(
    "actions: expected [..., 7 or more], found [1, 6]",
  );
});
