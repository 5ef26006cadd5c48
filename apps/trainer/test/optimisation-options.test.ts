/** @file From configuration to artifact: every optimisation option arrives, and what cannot be is refused by name. */
import { expect, test } from "vitest";
import { buildRunArtifact, runArtifactOptions } from "../src/artifact.js";
import { checkRunConfig } from "../src/configs/schema.js";
import { memoryLine } from "../src/train/summary.js";
import { toyConfig } from "./toy.js";

const inputsOf = (config: ReturnType<typeof toyConfig>, model = "training_model") =>
  buildRunArtifact(config).manifest.models[model]!.inputs.map(({ name }) => name);

test("openpi's settings are the default", () => {
  const { optimizer, gradientAccumulation, flowDraws } = toyConfig();
  expect(optimizer).toEqual({
    b1: 0.9,
    b2: 0.95,
    eps: 1e-8,
    weightDecay: 1e-10,
    noWeightDecay: [],
    clipGradientNorm: 1,
    clip: "joint",
  });
  expect([gradientAccumulation, flowDraws]).toEqual([1, 1]);
});

test("options of the optimizer are those of its graph", () => {
  const hash = (
    optimizer: Partial<ReturnType<typeof toyConfig>["optimizer"]>,
    emaDecay: number | null = 0.9,
  ) => {
    const config = toyConfig({ optimizer: { ...toyConfig().optimizer, ...optimizer }, emaDecay });
    const { options, models } = buildRunArtifact(config).manifest;
    expect(options.optimizer).toMatchObject({ ...optimizer, emaDecay });
    return models["optimizer_model"]!.sha256;
  };
  const hashes = [
    hash({}),
    hash({ clip: "group" }),
    hash({ noWeightDecay: [".*(bias|scale)"] }),
    hash({ clipGradientNorm: 2 }),
    hash({ weightDecay: 0.1 }),
    hash({ b1: 0.8 }),
    hash({ b2: 0.99 }),
    hash({ eps: 1e-6 }),
    hash({}, null),
  ];
  expect(new Set(hashes).size).toBe(hashes.length);
});

test("insulation and the bound on rows of logits reach the training graph", () => {
  expect(runArtifactOptions(toyConfig())).not.toHaveProperty("insulate");
  expect(runArtifactOptions(toyConfig())).not.toHaveProperty("lossRows");
  expect(runArtifactOptions(toyConfig({ insulate: false })).insulate).toBe(false);
  // No text has more targets than tokens behind its first.
  expect([5, 11, 12, 500].map((lossRows) => runArtifactOptions(toyConfig({ lossRows })).lossRows)).toEqual([
    5, 11, 11, 11,
  ]);
  const hashes = [{}, { insulate: false }, { lossRows: 5 }].map((more) => {
    const { options, models } = buildRunArtifact(toyConfig(more)).manifest;
    expect(options).toMatchObject(more);
    return models["training_model"]!.sha256;
  });
  expect(new Set(hashes).size).toBe(hashes.length);
});

test("a mask that matches no parameter is refused before training", () => {
  const config = toyConfig();
  config.optimizer.noWeightDecay = ["bias"];
  expect(() => buildRunArtifact(config)).toThrow(/^noWeightDecay: 'bias' matches none of the parameters/);
});

test("accumulation, draws and the mask of padding change the training graph", () => {
  const plain = inputsOf(toyConfig());
  expect(plain).toContain("action_mask");
  expect(plain.some((name) => name.startsWith("sum/"))).toBe(false);
  const parts = toyConfig({ gradientAccumulation: 2 });
  expect(inputsOf(parts)).toContain("action_share");
  expect(inputsOf(parts).some((name) => name.startsWith("sum/"))).toBe(true);
  expect(inputsOf(parts, "reset_model")).toEqual(["zero"]);
  expect(runArtifactOptions(toyConfig({ flowDraws: 4 })).flowDraws).toBe(4);
  const { inputs } = buildRunArtifact(toyConfig({ flowDraws: 4 })).manifest.models["training_model"]!;
  expect(inputs.find(({ name }) => name === "noise")!.shape).toEqual([8, 3, 8]);
  const unmasked = toyConfig();
  unmasked.model.maskPadded = false;
  expect(inputsOf(unmasked)).not.toContain("action_mask");
});

test("what does not go together is refused", () => {
  expect(() => toyConfig({ batchSize: 4, gradientAccumulation: 3 })).toThrow(
    "config: gradientAccumulation: expected a divisor of batchSize 4, found 3",
  );
  const fast = { pi05: false, knowledgeInsulation: false, pi0Fast: true, maskPadded: false };
  const { model, ...rest } = toyConfig({ flowDraws: 2 });
  expect(() => checkRunConfig({ ...rest, model: { ...model, ...fast } })).toThrow(
    "config: flowDraws: expected 1 for pi0_fast, which has no expert, found 2",
  );
  expect(() => checkRunConfig({ ...toyConfig(), flowDraws: 0 })).toThrow(/^config: flowDraws: .* found 0$/);
  const optimizer = { ...toyConfig().optimizer, clip: "each" };
  expect(() => checkRunConfig({ ...toyConfig(), optimizer })).toThrow(
    /^config: optimizer\.clip: .* found "each"$/,
  );
});

test("a configuration from before these options is read as it was trained", () => {
  const { gradientAccumulation: _, flowDraws: __, optimizer, ...config } = toyConfig();
  const { clip: ___, noWeightDecay: ____, ...old } = optimizer;
  expect(checkRunConfig({ ...config, optimizer: old })).toEqual(toyConfig());
});

test("the end of a run says how good the plan was", () => {
  const arena = { inUse: 0, peak: 3e9, reserved: 4e9, largest: 1e9, allocations: 9 };
  expect(memoryLine({ tensors: 1e9, arena }, 5e9)).toMatch(/; planned 5\.00 GB, used 20 % less$/);
  expect(memoryLine({ tensors: 2e9, arena }, 4e9)).toMatch(/; planned 4\.00 GB, used 25 % more$/);
  expect(memoryLine({ tensors: 1e9, arena }, 4e9)).toMatch(/; planned 4\.00 GB, used just so$/);
  expect(memoryLine({ tensors: 1e9 }, 4e9)).not.toMatch(/planned/);
});
