import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTrainingModel, countParams, initParams, isLora, mergeLora } from "@insula/ki-model";
import { GEMMA_VARIANTS, withoutLora } from "@insula/model-types";
import { afterAll, describe, expect, test } from "vitest";
import { runArtifactOptions } from "../src/artifact.js";
import { readCheckpointConfig, readParams, saveCheckpoint } from "../src/checkpoint.js";
import { defineConfig } from "../src/configs/defaults.js";
import { loadConfig } from "../src/configs/file.js";
import { parseOverrides } from "../src/configs/overrides.js";
import { getConfig } from "../src/configs/registry.js";
import { resolveConfig } from "../src/configs/resolve.js";
import { checkRunConfig } from "../src/configs/schema.js";
import type { RunConfig } from "../src/configs/types.js";
import { runCli } from "../src/program.js";
import { initialParams } from "../src/weights.js";
import { toyConfig } from "./toy.js";

const dir = mkdtempSync(join(tmpdir(), "insula-lora-"));
afterAll(() => rmSync(dir, { recursive: true }));

const resolve = (size: "tiny" | "full", ...set: string[]) =>
  resolveConfig(getConfig("pi05_droid_ki"), { size, overrides: parseOverrides(set) });

async function insula(...args: string[]) {
  const [out, err]: string[][] = [[], []];
  const code = await runCli(args, { out: (l) => out!.push(l), err: (l) => err!.push(l) });
  return { code, out: out!.join("\n"), err: err!.join("\n") };
}

/** A low-memory configuration as openpi declares its own: variants by name. */
const lowMemory = defineConfig({
  name: "low_mem",
  model: {
    vlm: { lora: GEMMA_VARIANTS.gemma_2b_lora.lora },
    expert: { lora: GEMMA_VARIANTS.gemma_300m_lora.lora },
  },
  data: { robot: "libero", assetId: "libero" },
  train: "lora",
  emaDecay: null,
});

describe("configuration", () => {
  test("adapters can be set field by field, at any size", () => {
    const { model } = resolve(
      "tiny",
      "model.vlm.lora.attn.rank=8",
      "model.expert.lora.ffn.rank=4",
      "train=lora",
    );
    expect(model.vlm).toEqual({
      width: 64,
      depth: 2,
      mlpDim: 192,
      numHeads: 4,
      numKvHeads: 1,
      headDim: 16,
      lora: { attn: { rank: 8 } },
    });
    expect(model.expert.lora).toEqual({ ffn: { rank: 4 } });
  });

  test("a variant goes by its name, on the command line and in a file", async () => {
    const named = ["model.vlm=gemma_2b_lora", 'model.expert="gemma_300m_lora"', "train=lora"];
    const full = resolve("full", ...named).model;
    expect(full.vlm).toEqual(GEMMA_VARIANTS.gemma_2b_lora);
    expect(full.expert).toEqual(GEMMA_VARIANTS.gemma_300m_lora);
    const { lora } = GEMMA_VARIANTS.gemma_2b_lora;
    expect(resolve("tiny", ...named).model.vlm).toEqual({ ...resolve("tiny").model.vlm, lora });
    expect(resolve("tiny", 'model={"vlm":"gemma_2b_lora"}').model.vlm.lora).toEqual(lora);
    // What is said later changes it, or takes it away.
    const changed = resolve("tiny", ...named, "model.vlm.lora.attn.rank=2").model.vlm.lora!;
    expect(changed).toEqual({ attn: { rank: 2, alpha: 16 }, ffn: { rank: 16, alpha: 16 } });
    expect(resolve("tiny", ...named, "model.vlm=gemma_2b").model.vlm.lora).toBeNull();

    const file = join(dir, "named.ts");
    const fields = `{ vlm: "gemma_2b_lora", expert: "gemma_300m_lora" }`;
    writeFileSync(file, `export default { extends: "pi05_droid_ki", train: "lora", model: ${fields} };`);
    const { declared, own } = await loadConfig(file);
    const overrides = parseOverrides(["model.expert.lora.ffn=null"]);
    const { vlm, expert } = resolveConfig(declared, { size: "tiny", own, overrides }).model;
    expect([vlm.lora, expert.lora]).toEqual([lora, { attn: { rank: 32, alpha: 32 }, ffn: null }]);
  });

  test.each([
    [
      "model.vlm=gemma_2b_lroa",
      "config: model.vlm: unknown variant 'gemma_2b_lroa'; did you mean 'gemma_2b_lora'?",
    ],
    [
      "model.expert=gemma_2b_lora",
      "config: model.expert: unknown variant 'gemma_2b_lora'; did you mean 'gemma_300m_lora'?",
    ],
    [
      "model.vlm=qwen",
      "config: model.vlm: unknown variant 'qwen'; expected one of gemma_2b, gemma_2b_lora, or fields",
    ],
    [
      'model={"expert":"gemma_300_lora"}',
      "config: model.expert: unknown variant 'gemma_300_lora'; did you mean 'gemma_300m_lora'?",
    ],
  ])("%s is refused with the closest name", (setting, message) => {
    expect(() => resolve("tiny", setting)).toThrow(
      expect.objectContaining({ code: "config/field", message }),
    );
  });

  test("a declared variant keeps the size's widths, and gives way to overrides", () => {
    const of = (size: "tiny" | "full", ...set: string[]) =>
      resolveConfig(lowMemory, { size, overrides: parseOverrides(set) }).model;
    expect(of("full").vlm).toEqual(GEMMA_VARIANTS.gemma_2b_lora);
    expect(of("full").expert).toEqual(GEMMA_VARIANTS.gemma_300m_lora);
    expect(of("tiny").vlm).toMatchObject({ width: 64, lora: { attn: { rank: 16, alpha: 16 } } });
    const { attn, ffn } = of("full", "model.vlm.lora.attn.rank=8", "model.vlm.lora.ffn=null").vlm.lora!;
    expect([attn, ffn]).toEqual([{ rank: 8, alpha: 16 }, null]);
    expect(of("full", "model.vlm.lora=null").vlm.lora).toBeNull();
    const run = resolveConfig(lowMemory, { size: "full" });
    expect(checkRunConfig(JSON.parse(JSON.stringify(run)))).toEqual(run);
  });

  const wrong: [string[], string, string][] = [
    [["model.vlm.lroa.attn.rank=8"], "config/field", "did you mean 'model.vlm.lora'?"],
    [
      ["model.vlm.lora.attn.rnk=8", "model.vlm.lora.attn.rank=8"],
      "config/field",
      "did you mean 'model.vlm.lora.attn.rank'?",
    ],
    [
      ["model.vlm.lora.attn.rank=0"],
      "config/lora",
      "vlm.lora.attn.rank: expected an integer of at least 1, found 0",
    ],
    [["model.vlm.lora.attn.alpha=8"], "config/lora", "vlm.lora.attn.rank: expected an integer of at least 1"],
    [
      ["model.expert.lora.attn.rank=8", 'model.expert.lora.attn.targets=["qkv_einsum"]'],
      "config/lora",
      "expert.lora.attn.targets: expected some of q_einsum, kv_einsum, attn_vec_einsum, found qkv_einsum",
    ],
    [["model.vlm=3"], "config/field", "model.vlm: expected fields, found 3"],
    [["train=experts"], "config/field", "train: "],
    [
      ["train=expert", "validation.metric=fast_loss"],
      "config/field",
      "with train 'expert' there is no fast_loss",
    ],
    [["train=lora"], "model/train", "train: 'lora': the model has no adapters"],
    [
      ["train=expert", "model.pi0Fast=true", "model.pi05=false", "model.knowledgeInsulation=false"],
      "model/train",
      "no action expert",
    ],
  ];
  test.each(wrong)("%s is refused", (set, code, message) => {
    expect(() => resolve("tiny", ...set)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });
});

describe("what is trained decides the graph", () => {
  const counts = (config: RunConfig) => {
    const { context, trainable } = buildTrainingModel(config.model, {
      ...runArtifactOptions(config),
      batchSize: 1,
    });
    const sum = ({ vlm, expert }: ReturnType<typeof countParams>) => vlm + expert;
    return { all: sum(countParams(context.specs)), trained: countParams(trainable) };
  };

  test("openpi's low-memory run: 467 M parameters, most of them vision", () => {
    const { all, trained } = counts(resolveConfig(lowMemory, { size: "full" }));
    const adapters = 27_869_184 + 22_118_400;
    expect(all).toBe(3_238_048_528 + adapters);
    // Language model and expert are frozen, and no loss reaches what follows the keys and values of the last layer.
    const unread = 16 * (2 * 8 * (2048 + 256) + 3 * (2048 + 16_384));
    expect(trained.vlm + trained.expert).toBe(all - 2_508_531_712 - 311_464_960 - unread);
  });

  test("a part by name and further patterns freeze together", () => {
    const options = runArtifactOptions(resolve("tiny", "train=vlm", 'freeze=["PaliGemma/img/.*"]'));
    expect(options).toMatchObject({ only: "fast", frozenType: "bfloat16" });
    const { trained } = counts(resolve("tiny", "train=vlm", 'freeze=["PaliGemma/img/.*"]'));
    expect(trained.expert).toBe(0);
    expect(trained.vlm).toBeGreaterThan(0);
    expect(runArtifactOptions(resolve("tiny"))).not.toHaveProperty("freeze");
  });
});

const lora = {
  vlm: { lora: { attn: { rank: 2, initB: "normal" } } },
  expert: { lora: { ffn: { rank: 3 } } },
};
const toy = (more: object = {}): RunConfig => {
  const base = toyConfig();
  const { vlm, expert } = base.model;
  const model = { ...base.model, vlm: { ...vlm, ...lora.vlm }, expert: { ...expert, ...lora.expert } };
  return { ...base, model, emaDecay: null, train: "lora-only", ...more } as RunConfig;
};

const STATS = JSON.stringify({
  norm_stats: Object.fromEntries(["state", "actions"].map((key) => [key, { mean: [0], std: [1] }])),
});

async function checkpoint(name: string, config: RunConfig) {
  const params = initParams(config.model, 3);
  const state = { step: 1, params, mu: new Map(), nu: new Map() };
  const files = new Map([["assets/droid/norm_stats.json", STATS]]);
  const root = join(dir, name, "checkpoints");
  mkdirSync(root, { recursive: true });
  const progress = { rng: {}, loader: null };
  return { path: await saveCheckpoint(root, { config, state, progress, files }), params };
}

describe("weights to start from", () => {
  test("plain ones get adapters; adapters that the model lacks are an error", async () => {
    const config = toy();
    const plain = await checkpoint("plain", { ...config, model: withoutLora(config.model), train: "all" });
    const started = await initialParams({ ...config, weights: plain.path });
    expect([...started.keys()]).toEqual([...initParams(config.model, 0).keys()]);
    for (const [path, { data }] of started)
      if (!isLora(path)) expect(data).toEqual(plain.params.get(path)!.data);
    const adapted = await checkpoint("adapted", config);
    expect(await initialParams({ ...config, weights: adapted.path })).toEqual(adapted.params);
    await expect(
      initialParams({ ...config, model: withoutLora(config.model), weights: adapted.path }),
    ).rejects.toMatchObject({ code: "weights/lora", message: expect.stringContaining("merge-lora") });
  });
});

describe("insula weights merge-lora", () => {
  test("makes a plain checkpoint of the same model", async () => {
    const config = toy();
    const { path, params } = await checkpoint("merge", config);
    const out = join(dir, "merged");
    const done = await insula("weights", "merge-lora", "--checkpoint", join(dir, "merge"), "--out", out);
    expect(done).toMatchObject({ code: 0, err: "", out: `adapters merged into 5 weights, in ${out}` });
    const merged = await readCheckpointConfig(out);
    expect(merged).toEqual({ ...config, model: withoutLora(config.model), train: "all" });
    expect(await readParams(out)).toEqual(
      new Map([...mergeLora(params, config.model)].sort(([a], [b]) => (a < b ? -1 : 1))),
    );
    const stats = join("assets", "droid", "norm_stats.json");
    expect(readFileSync(join(out, stats))).toEqual(readFileSync(join(path, stats)));
    // A run can start from it, and it has nothing left to merge.
    await initialParams({ ...merged, weights: out });
    const again = await insula("weights", "merge-lora", "--checkpoint", out, "--out", join(dir, "again"));
    expect(again).toMatchObject({ code: 1, err: expect.stringContaining("[weights/lora]") });
    const exists = await insula("weights", "merge-lora", "--checkpoint", path, "--out", out);
    expect(exists.err).toContain("[weights/exists]");
  });

  test("export merges, and says so", async () => {
    const { path } = await checkpoint("export", toy());
    const done = await insula("weights", "export", path, "--format", "openpi", "--out", join(dir, "openpi"));
    expect(done.err).toBe("");
    expect(done.out).toContain("adapters merged into 5 weights");
    expect(done.out).not.toContain("lora_a");
  });
});
