import { configModelType } from "@insula/model-types";
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseOverrides } from "../src/configs/overrides.js";
import { getConfig, listConfigs, registerConfigs } from "../src/configs/registry.js";
import { resolveConfig } from "../src/configs/resolve.js";
import { checkRunConfig } from "../src/configs/schema.js";

const resolve = (name: string, size: "tiny" | "small" | "full", ...set: string[]) =>
  resolveConfig(getConfig(name), { size, overrides: parseOverrides(set) });

test("names", () => {
  expect(listConfigs().map((c) => c.name)).toMatchInlineSnapshot(`
    [
      "pi05_droid_ki",
      "pi0_droid",
      "pi0_fast_droid",
      "paligemma_binning_droid",
      "paligemma_fast_droid",
      "paligemma_fast_specialist_droid",
      "paligemma_vq_droid",
      "paligemma_diffusion_droid",
      "paligemma_binning_droid_jointpos",
      "pi05_droid",
      "pi05_droid_finetune",
      "pi05_full_droid_finetune",
      "pi0_fast_full_droid_finetune",
      "pi05_droid_jointpos_polaris",
      "pi0_fast_droid_jointpos_polaris",
      "pi0_droid_jointpos_polaris",
      "pi0_droid_jointpos_100k_polaris",
      "pi05_libero_ki",
      "pi0_libero",
      "pi0_libero_low_mem_finetune",
      "pi0_fast_libero",
      "pi0_fast_libero_low_mem_finetune",
      "pi05_libero",
      "pi0_aloha_pen_uncap",
      "pi05_aloha_pen_uncap",
      "pi0_aloha_sim",
      "debug",
      "debug_restore",
      "debug_pi05",
      "debug_pi05_ki",
      "bench_small",
    ]
  `);
});

test("every config resolves at every size, and survives JSON", () => {
  for (const config of listConfigs()) {
    for (const size of ["tiny", "small", "full"] as const) {
      const run = resolveConfig(config, { size });
      expect(checkRunConfig(JSON.parse(JSON.stringify(run)))).toEqual(run);
    }
  }
});

test("the numbers of the reference", () => {
  const table = listConfigs().map((c) => {
    const { model, ...run } = resolve(c.name, "full");
    const s = run.lrSchedule.type === "cosine" ? run.lrSchedule : undefined;
    return [
      c.name,
      configModelType(model),
      `${model.actionDim}/${model.actionHorizon}/${model.maxTokenLen}`,
      `${run.batchSize}x${run.numTrainSteps}`,
      `${s?.warmupSteps} ${s?.peakLr} ${s?.decaySteps} ${s?.decayLr}`,
      run.emaDecay,
      run.data.useQuantileNorm ? "quantile" : "z-score",
      run.data.deltaActions?.join() ?? "as is",
    ].join(" | ");
  });
  expect(table).toMatchInlineSnapshot(`
    [
      "pi05_droid_ki | pi05_ki | 32/50/256 | 32x30000 | 1000 0.000025 30000 0.0000025 | 0.99 | quantile | as is",
      "pi0_droid | pi0 | 32/10/48 | 32x30000 | 1000 0.000025 30000 0.0000025 | 0.99 | z-score | as is",
      "pi0_fast_droid | pi0_fast | 8/10/250 | 32x30000 | 1000 0.000025 30000 0.0000025 | 0.99 | quantile | as is",
      "paligemma_binning_droid | pi0_fast | 8/15/400 | 32x30000 | 1000 0.000025 30000 0.0000025 | 0.99 | quantile | as is",
      "paligemma_fast_droid | pi0_fast | 8/15/250 | 32x30000 | 1000 0.000025 30000 0.0000025 | 0.99 | quantile | as is",
      "paligemma_fast_specialist_droid | pi0_fast | 8/15/250 | 32x30000 | 1000 0.000025 30000 0.0000025 | 0.99 | quantile | as is",
      "paligemma_vq_droid | pi0_fast | 8/15/250 | 32x30000 | 1000 0.000025 30000 0.0000025 | 0.99 | quantile | as is",
      "paligemma_diffusion_droid | pi0 | 8/10/48 | 32x30000 | 1000 0.000025 30000 0.0000025 | 0.99 | z-score | as is",
      "paligemma_binning_droid_jointpos | pi0_fast | 8/15/600 | 32x30000 | 1000 0.000025 30000 0.0000025 | 0.99 | quantile | 7,-1",
      "pi05_droid | pi05 | 32/15/200 | 32x30000 | 1000 0.000025 30000 0.0000025 | 0.99 | quantile | as is",
      "pi05_droid_finetune | pi05 | 32/16/200 | 32x20000 | 1000 0.000025 30000 0.0000025 | 0.99 | quantile | as is",
      "pi05_full_droid_finetune | pi05 | 32/16/200 | 256x100000 | 1000 0.00005 1000000 0.00005 | 0.99 | quantile | 7,-1",
      "pi0_fast_full_droid_finetune | pi0_fast | 8/16/180 | 256x100000 | 1000 0.00005 1000000 0.00005 | 0.99 | quantile | 7,-1",
      "pi05_droid_jointpos_polaris | pi05 | 32/15/200 | 128x1000 | 1000 0.00005 1000000 0.00005 | 0.99 | quantile | 7,-1",
      "pi0_fast_droid_jointpos_polaris | pi0_fast | 8/10/180 | 128x1000 | 1000 0.00005 1000000 0.00005 | 0.99 | quantile | 7,-1",
      "pi0_droid_jointpos_polaris | pi0 | 32/10/100 | 128x1000 | 1000 0.00005 1000000 0.00005 | 0.99 | z-score | 7,-1",
      "pi0_droid_jointpos_100k_polaris | pi0 | 32/10/100 | 128x1000 | 1000 0.00005 1000000 0.00005 | 0.99 | z-score | 7,-1",
      "pi05_libero_ki | pi05_ki | 32/10/256 | 256x30000 | 10000 0.00005 1000000 0.00005 | 0.999 | quantile | as is",
      "pi0_libero | pi0 | 32/50/48 | 32x30000 | 1000 0.000025 30000 0.0000025 | 0.99 | z-score | 6,-1",
      "pi0_libero_low_mem_finetune | pi0 | 32/50/48 | 32x30000 | 1000 0.000025 30000 0.0000025 |  | z-score | 6,-1",
      "pi0_fast_libero | pi0_fast | 7/10/180 | 32x30000 | 1000 0.000025 30000 0.0000025 | 0.99 | quantile | 6,-1",
      "pi0_fast_libero_low_mem_finetune | pi0_fast | 7/10/180 | 32x30000 | 1000 0.000025 30000 0.0000025 |  | quantile | 6,-1",
      "pi05_libero | pi05 | 32/10/200 | 256x30000 | 10000 0.00005 1000000 0.00005 | 0.999 | quantile | as is",
      "pi0_aloha_pen_uncap | pi0 | 32/50/48 | 32x20000 | 1000 0.000025 30000 0.0000025 | 0.99 | z-score | 6,-1,6,-1",
      "pi05_aloha_pen_uncap | pi05 | 32/50/200 | 64x20000 | 1000 0.000025 30000 0.0000025 | 0.99 | quantile | 6,-1,6,-1",
      "pi0_aloha_sim | pi0 | 32/50/48 | 32x20000 | 1000 0.000025 30000 0.0000025 | 0.99 | z-score | as is",
      "debug | pi0 | 32/50/48 | 2x10 | 1000 0.000025 30000 0.0000025 | 0.99 | z-score | as is",
      "debug_restore | pi0 | 32/50/48 | 2x10 | 1000 0.000025 30000 0.0000025 | 0.99 | z-score | as is",
      "debug_pi05 | pi05 | 32/50/200 | 2x10 | 1000 0.000025 30000 0.0000025 | 0.99 | quantile | as is",
      "debug_pi05_ki | pi05_ki | 32/10/256 | 2x10 | 1000 0.000025 30000 0.0000025 | 0.99 | quantile | as is",
      "bench_small | pi05_ki | 32/16/256 | 4x10 | 1000 0.000025 30000 0.0000025 | 0.99 | quantile | as is",
    ]
  `);
});

test("statistics of a pretrained checkpoint go with its weights", () => {
  const released = (name: string) => `gs://openpi-assets/checkpoints/${name}/assets`;
  const declared = listConfigs().flatMap(({ name, data }) =>
    data.assetsDir ? [[name, data.assetsDir]] : [],
  );
  expect(Object.fromEntries(declared)).toEqual({
    pi05_droid_finetune: released("pi05_droid"),
    pi05_full_droid_finetune: released("pi05_base"),
    pi0_aloha_pen_uncap: released("pi0_base"),
    pi05_aloha_pen_uncap: released("pi05_base"),
  });
  for (const [name, assetsDir] of declared) {
    expect(resolve(name!, "full").data.assetsDir).toBe(assetsDir);
    for (const size of ["tiny", "small"] as const) expect(resolve(name!, size).data.assetsDir).toBeNull();
    expect(resolve(name!, "tiny", "data.assetsDir=mine").data.assetsDir).toBe("mine");
  }
});

test("pi05_droid_ki", () => {
  expect(resolve("pi05_droid_ki", "full")).toMatchObject({
    model: {
      actionDim: 32,
      actionHorizon: 50,
      maxTokenLen: 256,
      kiFastTokenLossWeight: 1,
      pi05: true,
      knowledgeInsulation: true,
    },
    data: {
      assetId: "droid",
      promptFromTask: true,
      useQuantileNorm: true,
      deltaActions: null,
      robot: "droid",
    },
    seed: 42,
  });
});

test("small sizes are trained from scratch: schedule and EMA follow the run's length", () => {
  const run = resolve("pi05_droid_ki", "tiny", "numTrainSteps=200");
  expect(run).toMatchObject({
    batchSize: 4,
    emaDecay: 0.95,
    weights: null,
    lrSchedule: {
      type: "cosine",
      warmupSteps: 10,
      peakLr: 3e-3,
      decaySteps: 200,
      decayLr: expect.closeTo(3e-4),
    },
  });
  expect(resolve("pi05_droid_ki", "small").lrSchedule).toMatchObject({ peakLr: 3e-4 });
  expect(resolve("pi05_droid_finetune", "full").weights).toMatch(/pi05_droid/);
});

test("overrides reach every level and win over what a size sets", () => {
  const run = resolve(
    "pi05_droid_ki",
    "tiny",
    "model.vlm.width=128",
    "lrSchedule.peakLr=0.5",
    "optimizer.b2=0.99",
    "data.assetId=my_arm",
    "emaDecay=null",
  );
  expect(run.model.vlm).toMatchObject({ width: 128, depth: 2 });
  expect(run.lrSchedule).toMatchObject({ type: "cosine", peakLr: 0.5, decaySteps: 30_000 });
  expect(run.optimizer).toMatchObject({ b1: 0.9, b2: 0.99 });
  expect(run.data.assetId).toBe("my_arm");
  expect(run.emaDecay).toBeNull();
  expect(resolve("debug", "tiny", 'lrSchedule={"type":"constant","lr":1e-3}').lrSchedule).toEqual({
    type: "constant",
    lr: 1e-3,
  });
  // Defaults that depend on a flag follow the overridden flag.
  expect(resolve("pi05_droid_ki", "tiny", "model.knowledgeInsulation=false").model.maskPadded).toBe(false);
});

test.each([
  ["batchsize=3"],
  ["model.actionHorizn=3"],
  ["model.vlm.widht=3"],
  ["lrSchedule.timescales=3"],
  ["batchSize=0"],
  ["batchSize=many"],
  ["model=3"],
  ["data.robot=drone"],
  ["optimizer.b2=1.5"],
  ["model.vlm.lora.attn.rnk=8"],
  ["model.expert.lora.ffn.alpah=8"],
  ["model.siglip.witdh=8"],
  ["data.filter.tsks=[]"],
  ["data.filter.idle.treshold=1"],
  ["data.filter.idle.zzzzzzzzzz=1"],
  ['data.mixture=[{"repoId":"a","weight":1},{"repoId":"b","weight":1,"robt":"droid"}]'],
  ['data.mixture=[{"repoId":"a","weight":1,"filter":{"idle":{"dimz":1}}}]'],
  ["rematerialize.vml=2"],
  ["data.assetId=.."],
  ["data.assetId=droid/../../../x"],
  ["data.assetId=./droid"],
  ["data.assetId=/droid"],
  ["data.assetId=droid//x"],
  ["data.assetId=my arm"],
  ["name=../x"],
  ["zzzzzzzzzz=1"],
  ["batchSize"],
  ["=3"],
  ["a..b=3"],
])("--set %s is refused", (setting) => {
  expect(() => resolve("pi05_droid_ki", "tiny", setting)).toThrowErrorMatchingSnapshot();
});

test.each(["droid", "lerobot/aloha_sim", "..droid", "a..b/.c", "v1.0"])("data.assetId %s is fine", (id) => {
  expect(resolve("debug", "tiny", `data.assetId=${JSON.stringify(id)}`).data.assetId).toBe(id);
});

test("a configuration that is checked alone names the field, too", () => {
  const config = { ...resolve("debug", "tiny"), batchsize: 3 };
  expect(() => checkRunConfig(config)).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: config: unknown field 'batchsize']`,
  );
});

test("unknown and duplicate names", () => {
  expect(() => getConfig("pi05_droid_kl")).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: config 'pi05_droid_kl' not found; did you mean 'pi05_droid_ki'?]`,
  );
  expect(() => getConfig("toaster")).toThrow(/^config 'toaster' not found; there are pi05_droid_ki,/);
  expect(() => registerConfigs([getConfig("debug"), getConfig("debug")])).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: config: two configurations are named 'debug']`,
  );
});

test("override values: JSON where it is JSON, text otherwise; the last one wins", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
      const [x, y] = [JSON.parse(JSON.stringify(a)), JSON.parse(JSON.stringify(b))];
      expect(parseOverrides([`a.b=${JSON.stringify(x)}`, `a.b=${JSON.stringify(y)}`])).toEqual({
        a: { b: y },
      });
    }),
  );
  expect(parseOverrides(["data.defaultPrompt=fold the = towel"])).toEqual({
    data: { defaultPrompt: "fold the = towel" },
  });
});

test("a configuration of a checkpoint of 0.1.0 has none of the settings about saving, and reads", () => {
  const now = resolve("pi05_droid_ki", "tiny");
  const { maxToKeep, checkpointBaseDir, maxSaveFailures, saveRetrySeconds, emergencyDir, ...old } = now;
  expect(checkRunConfig(old)).toEqual(now);
  for (const wrong of [
    { maxToKeep: 0 },
    { maxSaveFailures: 0 },
    { saveRetrySeconds: -1 },
    { emergencyDir: 3 },
  ])
    expect(() => checkRunConfig({ ...now, ...wrong })).toThrow(Object.keys(wrong)[0]!);
});
