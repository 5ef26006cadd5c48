import { ancestors, grad } from "@insula/onnx-grad";
import { expect, test } from "vitest";
import { buildTrainingModel, gradientPaths, isExpert, isLora } from "../src/index.js";
import { runModel, testBatch, testConfig, testParams } from "./fixtures.js";
import { loraConfig } from "./lora-config.js";

const config = testConfig();
const params = testParams(config);
const data = testBatch(config);

/** Inputs that only the action loss reads. */
const FLOW_INPUTS = ["actions", "noise", "time", "action_mask"];

function build(changes: Parameters<typeof testConfig>[0] = {}, options: { insulate?: boolean } = {}) {
  return buildTrainingModel(testConfig(changes), { batchSize: 2, ...options });
}

/** Without adapters and with, on both stacks: those of the VLM are the VLM's. */
const { vlm, expert } = loraConfig();
const MODELS = [
  ["plain", {}],
  ["with adapters", { vlm, expert }],
] as const;

test.each(MODELS)(
  "%s: the action loss has no gradient for any VLM parameter: absent, not zero",
  (name, changes) => {
    const { context, losses } = build(changes);
    expect(context.specs.some((s) => isLora(s.path) && s.group === "vlm")).toBe(name !== "plain");
    const gradients = grad(
      losses.action_loss!,
      context.specs.map((s) => context.param(s.path, s.layer)),
    );
    const reached = context.specs.filter((_, i) => gradients[i]).map((s) => s.path);
    expect(reached.filter((path) => !isExpert(path))).toEqual([]);
    expect(new Set(reached)).toEqual(
      new Set(context.specs.filter((s) => s.group === "expert").map((s) => s.path)),
    );
  },
);

test.each(MODELS)("%s: no VLM gradient is computed from the action loss's inputs", (_, changes) => {
  const { context, outputs } = build(changes);
  for (const { name, group } of context.specs) {
    const inputs = [...ancestors([outputs.get(`grad/${name}`)!])].map((v) => v.name);
    const flow = inputs.filter((n) => FLOW_INPUTS.includes(n));
    if (group === "vlm") expect(flow, name).toEqual([]);
    else expect(flow, name).toContain("noise");
  }
});

test.each(MODELS)("%s: no expert gradient is computed from the FAST targets", (_, changes) => {
  const { context, outputs } = build(changes);
  for (const { name, group } of context.specs) {
    const inputs = [...ancestors([outputs.get(`grad/${name}`)!])].map((v) => v.name);
    expect(inputs.includes("token_loss_mask"), name).toBe(group === "vlm");
  }
});

test("with insulation off the same walk finds a non-zero flow gradient on every VLM key and value weight", async () => {
  const { context, losses } = build({}, { insulate: false });
  const specs = context.specs.filter((s) => /attn\/kv_einsum\/w/.test(s.path));
  expect(specs).toHaveLength(2);
  const gradients = grad(
    losses.action_loss!,
    specs.map((s) => context.param(s.path, s.layer)),
  );
  const outputs = new Map(specs.map((s, i) => [`flow/${s.name}`, gradients[i]!]));
  const out = await runModel(context, outputs, params, data);
  for (const { name, shape } of specs) {
    const values = out[`flow/${name}`]!.data as Float32Array;
    const half = shape[1]! / 2; // keys, then values
    const largest = (from: number) =>
      Math.max(
        ...values.filter((_, i) => i % shape[1]! >= from && i % shape[1]! < from + half).map(Math.abs),
      );
    expect(largest(0), `${name} keys`).toBeGreaterThan(1e-6);
    expect(largest(half), `${name} values`).toBeGreaterThan(1e-6);
  }
});

test("changing the FAST tokens leaves v_t bit-identical and changes the FAST loss", async () => {
  const { context, outputs } = build();
  const wanted = new Map([
    ["v_t", context.taps.get("v_t")!],
    ["fast_loss", outputs.get("fast_loss")!],
  ]);
  const before = await runModel(context, wanted, params, data);
  const { observation } = data.batch;
  const tokens = observation.tokenizedPrompt!.data.map((id, i) =>
    observation.tokenArMask!.data[i] ? (id * 7 + 3) % 64 : id,
  );
  const changed = {
    ...observation,
    tokenizedPrompt: { data: tokens, shape: observation.tokenizedPrompt!.shape },
  };
  const after = await runModel(context, wanted, params, {
    ...data,
    batch: { ...data.batch, observation: changed },
  });
  expect(after["v_t"]!.data).toEqual(before["v_t"]!.data);
  expect(after["fast_loss"]!.data).not.toEqual(before["fast_loss"]!.data);
});

test("a future FAST token changes no earlier logits", async () => {
  const { context } = build();
  const wanted = new Map([["logits", context.taps.get("logits")!]]);
  const before = await runModel(context, wanted, params, data);
  const { observation } = data.batch;
  const tokens = observation.tokenizedPrompt!.data.slice();
  const last = 14; // the first sample's last token
  tokens[last] = (tokens[last]! + 5) % 64;
  const changed = {
    ...observation,
    tokenizedPrompt: { data: tokens, shape: observation.tokenizedPrompt!.shape },
  };
  const after = await runModel(context, wanted, params, {
    ...data,
    batch: { ...data.batch, observation: changed },
  });
  const rows = (out: typeof before, from: number, to: number) =>
    (out["logits"]!.data as Float32Array).slice(from * 64, to * 64);
  expect(rows(after, 0, last)).toEqual(rows(before, 0, last));
  expect(rows(after, last, last + 1)).not.toEqual(rows(before, last, last + 1));
});

test("the report of gradient paths says the same, and shows the leak when insulation is off", () => {
  const insulated = gradientPaths(build());
  expect(insulated.vlm).toMatchObject({ action_loss: 0, fast_loss: insulated.vlm.parameters });
  expect(insulated.expert).toMatchObject({ fast_loss: 0, action_loss: insulated.expert.parameters });
  expect(gradientPaths(build({}, { insulate: false })).vlm.action_loss).toBeGreaterThan(20);
});
