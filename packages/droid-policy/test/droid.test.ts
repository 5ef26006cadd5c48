import { InsulaError, ModelType, type NdArray, type Sample } from "@insula/model-types";
import { describeShared, sharedJson, sharedTensors } from "@insula/test-kit";
import { compose } from "@insula/transforms";
import { expect, test } from "vitest";
import { droidInputs, droidOutputs, droidRepack, droidState, makeDroidExample } from "../src/index.js";

describeShared("the reference's DroidInputs and DroidOutputs", () => {
  const golden = sharedTensors("golden", "common", "transforms", "actions_images.safetensors");
  const index = sharedJson<
    Record<string, { prompt: string; image_order: string[]; image_mask: Record<string, boolean> }>
  >("golden", "common", "transforms", "actions_images.json");
  const input: Sample = { prompt: "do something" };
  for (const [name, tensor] of golden) {
    if (name.startsWith("droid/in/")) input[name.slice("droid/in/".length)] = tensor;
  }

  test.each([
    ["pi0", "pi05"],
    ["pi05", "pi05"],
    ["pi05_ki", "pi05"],
    ["pi0_fast", "pi0_fast"],
  ] as const)("%s as %s", (type, like) => {
    const out = droidInputs(type)(input);
    const expected = index[`droid_${like}`]!;
    expect(out["prompt"]).toBe(expected.prompt);
    expect(Object.keys(out["image"] as Sample)).toEqual(expected.image_order);
    expect(out["image_mask"]).toEqual(expected.image_mask);
    for (const key of ["state", "actions"]) {
      expect((out[key] as NdArray).shape).toEqual(golden.get(`droid/${like}/${key}`)!.shape);
      expect((out[key] as NdArray).data).toBeAllclose(golden.get(`droid/${like}/${key}`)!.data);
    }
    for (const [camera, image] of Object.entries(out["image"] as Record<string, NdArray>)) {
      const tensor = golden.get(`droid/${like}/image/${camera}`)!;
      expect(image.shape).toEqual(tensor.shape);
      expect(image.data).toBeAllclose(tensor.data);
    }
  });

  test("outputs keep eight dims", () => {
    const out = droidOutputs()({ actions: golden.get("droid/out/in")!, state: 1 });
    expect(Object.keys(out)).toEqual(["actions"]);
    expect(out["actions"]).toMatchObject({ shape: [10, 8] });
    expect((out["actions"] as NdArray).data).toBeAllclose(golden.get("droid/out/actions")!.data);
  });
});

test("a scalar gripper, a number, or nested keys", () => {
  const joints = { data: Float32Array.of(1, 2, 3, 4, 5, 6, 7), shape: [7] };
  const state = { data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 0.5), shape: [8] };
  const key = "observation/gripper_position";
  expect(
    droidState({ "observation/joint_position": joints, [key]: { data: Float32Array.of(0.5), shape: [] } }),
  ).toEqual(state);
  expect(droidState({ observation: { joint_position: joints, gripper_position: 0.5 } })).toEqual(state);
  expect(
    droidState({ "observation/joint_position": joints, [key]: { data: Float64Array.of(0.5), shape: [1] } })
      .data,
  ).toBeInstanceOf(Float64Array);
});

test("prompts in bytes, padding flags and missing actions", () => {
  const example = makeDroidExample({ seed: 1 });
  const prompt = { data: new TextEncoder().encode("Größe"), shape: [7] };
  const isPad = { data: Uint8Array.of(0, 1), shape: [2] };
  const out = droidInputs("pi05_ki")({ ...example, prompt, actions_is_pad: isPad });
  expect(out["prompt"]).toBe("Größe");
  expect(out["actions_is_pad"]).toBe(isPad);
  expect(out).not.toHaveProperty("actions");
  const { prompt: _, ...noPrompt } = example;
  expect(droidInputs("pi05_ki")(noPrompt)).not.toHaveProperty("prompt");
});

test("outputs may be batched, and keep their element type", () => {
  const actions = { data: Float32Array.from({ length: 2 * 3 * 9 }, (_, i) => i), shape: [2, 3, 9] };
  const out = droidOutputs()({ actions })["actions"] as NdArray;
  expect(out.shape).toEqual([2, 3, 8]);
  expect(out.data).toEqual(actions.data.filter((i) => i % 9 < 8));
});

test("the example looks like a robot's observation", () => {
  const example = makeDroidExample();
  expect(example["observation/exterior_image_1_left"].shape).toEqual([224, 224, 3]);
  expect(example["observation/wrist_image_left"].data).toHaveLength(224 * 224 * 3);
  expect(example["observation/joint_position"].shape).toEqual([7]);
  expect(example["observation/gripper_position"].data[0]).toBeGreaterThanOrEqual(0);
  expect(example.prompt).toBe("do something");
  const [a, b, c] = [3, 3, 4].map((seed) => makeDroidExample({ seed }));
  expect(a!["observation/joint_position"]).toEqual(b!["observation/joint_position"]);
  expect(a!["observation/joint_position"]).not.toEqual(c!["observation/joint_position"]);
  const pixels = (x: typeof a) => Buffer.from(x!["observation/exterior_image_1_left"].data);
  expect(pixels(a).equals(pixels(b))).toBe(true);
  expect(pixels(a).equals(pixels(c))).toBe(false);
  const bytes = makeDroidExample({ seed: 0 })["observation/wrist_image_left"].data;
  expect(new Set(bytes).size).toBe(256);
});

test("repack: dataset keys to observation keys, the second camera and the padding flags optional", () => {
  const { "observation/exterior_image_1_left": one, "observation/wrist_image_left": wrist } =
    makeDroidExample({ seed: 1 });
  const dataset: Sample = {
    exterior_image_1_left: one,
    wrist_image_left: wrist,
    joint_position: { data: new Float32Array(7), shape: [7] },
    gripper_position: { data: new Float32Array(1), shape: [1] },
    actions: { data: new Float32Array(32), shape: [4, 8] },
    actions_is_pad: { data: new Uint8Array(4), shape: [4] },
    prompt: "go",
    task_index: 3n,
  };
  const out = droidRepack()(dataset);
  expect(Object.keys(out)).toEqual([
    "observation/exterior_image_1_left",
    "observation/wrist_image_left",
    "observation/joint_position",
    "observation/gripper_position",
    "actions",
    "actions_is_pad",
    "prompt",
  ]);
  const inputs = compose([droidRepack(), droidInputs("pi05_ki")])({ ...dataset, exterior_image_2_left: one });
  expect(inputs["actions_is_pad"]).toBe(dataset["actions_is_pad"]);
  const { wrist_image_left: _, ...noWrist } = dataset;
  expect(() => droidRepack()(noWrist)).toThrow("missing key 'wrist_image_left'");
});

test("what does not fit is named", () => {
  const example = makeDroidExample({ seed: 1 });
  const run = (changes: Sample) => () => droidInputs(ModelType.pi05_ki)({ ...example, ...changes });
  const { "observation/wrist_image_left": _, ...noWrist } = example;
  expect(() => droidInputs("pi05_ki")(noWrist)).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: droidInputs: missing key 'observation/wrist_image_left' (available: observation/exterior_image_1_left, observation/joint_position, observation/gripper_position, prompt)]`,
  );
  expect(
    run({ "observation/joint_position": { data: new Float32Array(6), shape: [6] } }),
  ).toThrowErrorMatchingInlineSnapshot(`[InsulaError: observation/joint_position: expected [7], found [6]]`);
  expect(
    run({ "observation/gripper_position": { data: new Float32Array(2), shape: [2] } }),
  ).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: observation/gripper_position: expected a number or [1], found [2]]`,
  );
  expect(
    run({ "observation/wrist_image_left": { data: new Uint8Array(9), shape: [3, 3] } }),
  ).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: observation/wrist_image_left: expected an image [h, w, 3] or [3, h, w], found [3, 3]]`,
  );
  expect(run({ "observation/wrist_image_left": "x" })).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: observation/wrist_image_left: expected an image [h, w, 3] or [3, h, w], found a string]`,
  );
  expect(run({ actions: { data: new Float32Array(7), shape: [1, 7] } })).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: actions: expected [horizon, 8], found [1, 7]]`,
  );
  expect(() => droidInputs("pi06" as ModelType)).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: droidInputs: expected one of pi0, pi05, pi0_fast, pi05_ki, found 'pi06']`,
  );
  expect(() => droidOutputs()({ state: 1 })).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: droidOutputs: missing key 'actions' (available: state)]`,
  );
  expect(() =>
    droidOutputs()({ actions: { data: new Float32Array(7), shape: [1, 7] } }),
  ).toThrowErrorMatchingInlineSnapshot(`[InsulaError: actions: expected [..., 8 or more], found [1, 7]]`);
  expect(run({ prompt: 3 })).toThrow(InsulaError);
});
