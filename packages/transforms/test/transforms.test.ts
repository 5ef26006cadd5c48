import type { InsulaError, NdArray, Sample } from "@insula/model-types";
import { describeShared, sharedJson, sharedTensors } from "@insula/test-kit";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  absoluteActions,
  actionMask,
  applyTree,
  compose,
  deltaActions,
  flatten,
  group,
  injectDefaultPrompt,
  makeBoolMask,
  named,
  padStatesAndActions,
  padToDim,
  promptFromLeRobotTask,
  promptText,
  pushGroup,
  repackTransform,
  subsampleActions,
  transformDict,
  unflatten,
} from "../src/index.js";

const ints = (values: number[], shape: number[]) => ({ data: Int32Array.from(values), shape });
const floats = (values: number[], shape: number[]) => ({ data: Float64Array.from(values), shape });

// openpi: transforms_test.py

test("repackTransform", () => {
  const transform = repackTransform({ a: { b: "b/c" }, d: "e/f" });
  expect(transform({ b: { c: 1 }, e: { f: 2 } })).toEqual({ a: { b: 1 }, d: 2 });
});

test("deltaActions", () => {
  const item = { state: ints([1, 2, 3], [3]), actions: ints([3, 4, 5, 5, 6, 7], [2, 3]) };
  const out = deltaActions([false, true])(item);
  expect(out["state"]).toBe(item.state);
  expect(out["actions"]).toEqual(ints([3, 2, 5, 5, 4, 7], [2, 3]));
  expect(item.actions).toEqual(ints([3, 4, 5, 5, 6, 7], [2, 3])); // upstream changes it in place
});

test("absoluteActions", () => {
  const item = { state: ints([1, 2, 3], [3]), actions: ints([3, 4, 5, 5, 6, 7], [2, 3]) };
  const out = absoluteActions([false, true])(item);
  expect(out["state"]).toBe(item.state);
  expect(out["actions"]).toEqual(ints([3, 6, 5, 5, 8, 7], [2, 3]));
});

test.each([deltaActions, absoluteActions])("$name does nothing without mask or actions", (make) => {
  const item = { state: ints([1, 2, 3], [3]), actions: ints([3, 4, 5, 5, 6, 7], [2, 3]) };
  expect(make(undefined)(item)).toBe(item);
  const { actions: _, ...noActions } = item;
  expect(make([true, false])(noActions)).toBe(noActions);
});

test("makeBoolMask", () => {
  expect(makeBoolMask(2, -2, 2)).toEqual([true, true, false, false, true, true]);
  expect(makeBoolMask(2, 0, 2)).toEqual([true, true, true, true]);
});

test("transformDict", () => {
  const input = { a: { b: 1, c: 2 } };
  expect(transformDict({ "a/b": "a/c", "a/c": null }, input)).toEqual({ a: { c: 1 } });
  expect(() => transformDict({ "a/b": "a/c" }, input)).toThrow("Key 'a/c' already exists in output");
  expect(transformDict({ a: null }, input)).toEqual(input); // a full match is required
  expect(transformDict({ "a.+": null }, input)).toEqual({});
  const nested = { a: { b: 1, c: 1 }, b: { c: 2 } };
  for (const to of ["\\1/d", "$1/d"]) {
    expect(transformDict({ "(.+)/c": to }, nested)).toEqual({ a: { b: 1, d: 1 }, b: { d: 2 } });
  }
  expect(() => transformDict({ "a/b": "b" }, nested)).toThrow("leaf 'b' is also a node of");
});

test("promptFromLeRobotTask", () => {
  const tasks = { 0: "pick", 1: "place" };
  for (const index of [1, 1n, { data: BigInt64Array.of(1n), shape: [] }]) {
    expect(promptFromLeRobotTask(tasks)({ task_index: index })).toEqual({
      task_index: index,
      prompt: "place",
    });
  }
  expect(promptFromLeRobotTask(new Map([[7, "x"]]))({ task_index: 7 })["prompt"]).toBe("x");
  expect(() => promptFromLeRobotTask(tasks)({ task_index: 2 })).toThrow(
    "task_index=2 not found in task mapping: {0: 'pick', 1: 'place'}",
  );
  expect(() => promptFromLeRobotTask(tasks)({})).toThrow('Cannot extract task without "task_index"');
});

// beyond upstream's tests

describeShared("actions", () => {
  const golden = sharedTensors("golden", "common", "transforms", "actions_images.safetensors");
  const { masks } = sharedJson<{ masks: Record<string, boolean[] | null> }>(
    "golden",
    "common",
    "transforms",
    "actions_images.json",
  );
  const sample: Sample = { actions: golden.get("delta/actions")!, state: golden.get("delta/state")! };

  test.each(Object.keys(masks))("delta and absolute, mask %s", (name) => {
    const mask = masks[name] ?? undefined;
    if (name === "m7_-1") expect(mask).toEqual(makeBoolMask(7, -1));
    const delta = deltaActions(mask)(sample)["actions"] as NdArray;
    expect(delta.data).toBeAllclose(golden.get(`delta/${name}`)!.data);
    // the golden's "absolute" undoes the delta
    const absolute = absoluteActions(mask)({ ...sample, actions: delta })["actions"] as NdArray;
    expect(absolute.data).toBeAllclose(golden.get(`absolute/${name}`)!.data);
  });

  test.each([1, 2, 3, 5])("subsampled by %i", (stride) => {
    const out = subsampleActions(stride)(sample)["actions"] as NdArray;
    const expected = golden.get(`subsample/${stride}`)!;
    expect(out.shape).toEqual(expected.shape);
    expect(out.data).toBeAllclose(expected.data);
  });

  test.each([4, 32])("padded to %i", (dim) => {
    const out = padStatesAndActions(dim)(sample);
    for (const key of ["state", "actions"]) {
      const expected = golden.get(`pad${dim}/${key}`);
      if (!expected) continue;
      expect((out[key] as NdArray).shape).toEqual(expected.shape);
      expect((out[key] as NdArray).data).toBeAllclose(expected.data);
    }
  });
});

const value = fc.float({ min: -8, max: 8, noNaN: true });

test("absoluteActions ∘ deltaActions is the identity", () => {
  fc.assert(
    fc.property(
      fc.array(value, { minLength: 8, maxLength: 8 }),
      fc.array(value, { minLength: 8, maxLength: 80 }),
      fc.array(fc.boolean(), { maxLength: 8 }),
      (state, actions, mask) => {
        const rows = Math.floor(actions.length / 8);
        const sample = { state: floats(state, [8]), actions: floats(actions.slice(0, rows * 8), [rows, 8]) };
        const out = compose([deltaActions(mask), absoluteActions(mask)])(sample);
        expect((out["actions"] as NdArray).data).toBeAllclose(sample.actions.data, { atol: 1e-14 });
      },
    ),
  );
});

test("float32 actions stay float32, integers integers", () => {
  const actions = { data: Float32Array.of(0.1, 0.2), shape: [1, 2] };
  const out = deltaActions([true])({ state: floats([0.3, 0], [2]), actions });
  expect(out["actions"]).toEqual({ data: Float32Array.of(Math.fround(0.1) - 0.3, 0.2), shape: [1, 2] });
  const big = { data: BigInt64Array.of(5n, 7n), shape: [1, 2] };
  expect(deltaActions([true])({ state: ints([2, 0], [2]), actions: big })["actions"]).toEqual({
    data: BigInt64Array.of(3n, 7n),
    shape: [1, 2],
  });
});

test("integer actions that would become fractions are refused", () => {
  for (const data of [Int32Array.of(5), BigInt64Array.of(5n)]) {
    expect(() =>
      deltaActions([true])({ state: floats([0.5], [1]), actions: { data, shape: [1, 1] } }),
    ).toThrow("actions: 4.5 at dim 0 of row 0 does not fit integers");
  }
});

test("batched chunks take their own state", () => {
  const sample = { state: ints([1, 10], [2, 1]), actions: ints([1, 2, 3, 4], [2, 2, 1]) };
  expect(deltaActions([true])(sample)["actions"]).toEqual(ints([0, 1, -7, -6], [2, 2, 1]));
});

test("a mask wider than the data is refused", () => {
  const sample = { state: ints([1, 2], [2]), actions: ints([1, 2, 3], [1, 3]) };
  expect(() => deltaActions([true, true, true])(sample)).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: deltaActions: a mask of 3 dims does not fit actions [1, 3] and state [2]]`,
  );
});

test("subsampleActions: padding flags follow, missing actions are an error", () => {
  const sample = {
    actions: ints([1, 2, 3], [3, 1]),
    actions_is_pad: { data: Uint8Array.of(0, 0, 1), shape: [3] },
  };
  expect(subsampleActions(2)(sample)).toEqual({
    actions: ints([1, 3], [2, 1]),
    actions_is_pad: { data: Uint8Array.of(0, 1), shape: [2] },
  });
  expect(() => subsampleActions(2)({})).toThrow("subsampleActions: missing key 'actions' (available: none)");
  expect(() => subsampleActions(0)).toThrow("expected a positive integer, found 0");
});

test("padToDim pads any axis, with any value, and never cuts", () => {
  const x = ints([1, 2, 3, 4], [2, 2]);
  expect(padToDim(x, 3)).toEqual(ints([1, 2, 0, 3, 4, 0], [2, 3]));
  expect(padToDim(x, 3, 0, 9)).toEqual(ints([1, 2, 3, 4, 9, 9], [3, 2]));
  expect(padToDim({ data: BigInt64Array.of(1n), shape: [1] }, 2, 0, 5).data).toEqual(
    BigInt64Array.of(1n, 5n),
  );
  expect(padToDim(x, 1)).toBe(x);
  expect(() => padToDim(x, 3, 2)).toThrow("axis 2 of an array of shape [2, 2]");
});

test("actionMask: real dims of real steps", () => {
  const mask = actionMask({ actionsIsPad: Uint8Array.of(0, 1, 0), realDim: 2, horizon: 3, actionDim: 3 });
  expect(mask).toEqual({ data: Float32Array.of(1, 1, 0, 0, 0, 0, 1, 1, 0), shape: [3, 3] });
  expect(actionMask({ realDim: 9, horizon: 1, actionDim: 2 }).data).toEqual(Float32Array.of(1, 1));
  expect(() => actionMask({ actionsIsPad: Uint8Array.of(0), realDim: 1, horizon: 2, actionDim: 1 })).toThrow(
    "actions_is_pad: expected [2], found [1]",
  );
});

test("repackTransform: keys with a slash stay flat, unnamed keys go, missing keys are named", () => {
  const transform = repackTransform(
    { "observation/state": "state", pad: "actions_is_pad" },
    { optional: ["actions_is_pad"] },
  );
  expect(transform({ state: 1, other: 2 })).toEqual({ "observation/state": 1 });
  expect(transform({ state: 1, actions_is_pad: 3 })).toEqual({ "observation/state": 1, pad: 3 });
  expect(() => transform({ obs: { stat: 1 }, states: 2 })).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: repackTransform: missing key 'state', did you mean 'states'? (available: obs/stat, states)]`,
  );
});

test("injectDefaultPrompt fills, never overwrites", () => {
  expect(injectDefaultPrompt("go")({})).toEqual({ prompt: "go" });
  expect(injectDefaultPrompt("go")({ prompt: "stay" })).toEqual({ prompt: "stay" });
  expect(injectDefaultPrompt()({ a: 1 })).toEqual({ a: 1 });
});

test("promptText reads strings and UTF-8", () => {
  const data = new TextEncoder().encode("Größe");
  expect(promptText({ data, shape: [data.length] })).toBe("Größe");
  expect(() => promptText({ data: Uint8Array.of(255), shape: [1] })).toThrow("not UTF-8");
  expect(() => promptText(3)).toThrow("prompt: expected a string or UTF-8 bytes, found number");
});

test("flatten and unflatten are inverse; empty records vanish", () => {
  const leaf = fc.oneof(fc.integer(), fc.string(), fc.boolean());
  const key = fc.string({ minLength: 1 }).filter((k) => !k.includes("/"));
  const tree = fc.letrec<{ tree: Sample }>((tie) => ({
    tree: fc.dictionary(key, fc.oneof({ depthSize: "small" }, leaf, tie("tree")), {
      maxKeys: 4,
    }) as fc.Arbitrary<Sample>,
  })).tree;
  fc.assert(
    fc.property(tree, (sample) => {
      const flat = flatten(sample);
      expect(flatten(unflatten(flat))).toEqual(flat);
    }),
  );
  expect(flatten({ a: {}, b: { c: 1 } })).toEqual({ "b/c": 1 });
  expect(unflatten({ "a/b/c": 1, "a/d": 2 })).toEqual({ a: { b: { c: 1 }, d: 2 } });
  expect(() => unflatten({ a: 1, "a/b": 2 })).toThrow("leaf 'a' is also a node of 'a/b'");
  expect(() => unflatten({ "a/b": 1, a: 2 })).toThrow("leaf 'a' is also a node of 'a/…'");
});

test("applyTree", () => {
  const double = (leaf: unknown, factor: number) => (leaf as number) * factor;
  expect(applyTree({ a: { b: 2 }, c: 1 }, { "a/b": 3 }, double)).toEqual({ a: { b: 6 }, c: 1 });
  expect(applyTree({ c: 1 }, { x: 3 }, double)).toEqual({ c: 1 });
  expect(() => applyTree({ c: 1 }, { x: 3 }, double, { strict: true })).toThrow("applyTree: missing key 'x'");
});

test("inputs are appended, outputs prepended", () => {
  const t = (name: string) => named(name, (s) => s);
  const base = group({ inputs: [t("a")], outputs: [t("undo a")] });
  const pushed = pushGroup(base, { inputs: [t("b")], outputs: [t("undo b")] });
  expect(pushed.inputs.map((x) => x.name)).toEqual(["a", "b"]);
  expect(pushed.outputs.map((x) => x.name)).toEqual(["undo b", "undo a"]);
  expect(base.inputs).toHaveLength(1);
  expect(compose(pushed.inputs).name).toBe("compose(a, b)");
  expect(compose([])({ a: 1 })).toEqual({ a: 1 });
});

test("errors carry stable codes", () => {
  const code = (run: () => unknown) => {
    try {
      run();
    } catch (error) {
      return (error as InsulaError).code;
    }
    return undefined;
  };
  expect(code(() => repackTransform({ a: "b" })({}))).toBe("transforms/missing-key");
  expect(code(() => transformDict({ a: "b" }, { a: 1, b: 2 }))).toBe("transforms/duplicate-key");
  expect(code(() => padStatesAndActions(3)({ state: 1 }))).toBe("transforms/not-an-array");
});
