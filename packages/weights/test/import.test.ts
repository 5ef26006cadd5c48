import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { paramSpecs } from "@insula/ki-model";
import { configModelType } from "@insula/model-types";
import { bf16ToFloat32, float32ToBf16, readSafetensors, writeSafetensors } from "@insula/safetensors";
import { describeShared, sharedJson, sharedPath, sharedTensors } from "@insula/test-kit";
import { afterAll, expect, test } from "vitest";
import { type ImportPlan, importWeights, planImport } from "../src/import.js";
import { openWeights } from "../src/open.js";
import { reportRows } from "../src/report.js";
import type { WeightSource } from "../src/source.js";
import { STAND_IN } from "./stand-in.js";

const dir = mkdtempSync(join(tmpdir(), "insula-weights-"));
afterAll(() => rmSync(dir, { recursive: true }));
const file = join(dir, "params.safetensors");

/** Only width and mlpDim count: the rest follows from the VLM. */
const expert = { width: 32, mlpDim: 96, depth: 3, numHeads: 8, numKvHeads: 1, headDim: 16 };

const roundBf16 = (x: Float32Array) => bf16ToFloat32(float32ToBf16(x));
const asIs = (x: Float32Array) => x;
const bits = (x: Float32Array) => Buffer.from(x.buffer, x.byteOffset, x.byteLength);

/** Every source tensor and every parameter is accounted for, once. */
async function checkComplete(path: string, { config, report }: Omit<ImportPlan, "tensors">) {
  const source = await openWeights(path);
  const used = [...report.mapped.flatMap(({ from }) => from), ...report.ignored.map(({ name }) => name)];
  expect(used.sort()).toEqual([...source.tensors.keys()].sort());
  const made = [...report.mapped, ...report.initialised].map((p) => p.path);
  expect(made.sort()).toEqual([...new Set(paramSpecs(config).map((s) => s.path))].sort());
  expect(reportRows(report)).toHaveLength(made.length + report.ignored.length);
  await source.close();
}

describeShared("stand-ins import to the numbers that they were made from", () => {
  const cases = [
    ["openpi_torch_pi05", "jax_pi05", asIs, 1],
    ["openpi_torch_pi0", "jax_pi0", asIs, 1],
    ["openpi_torch_pi05_bf16", "jax_pi05", roundBf16, 1],
    ["openpi_torch_pi0_bf16", "jax_pi0", roundBf16, 1],
    ["lerobot_pi05", "jax_pi05", asIs, 2],
    ["lerobot_pi0", "jax_pi0", asIs, 2],
    ["lerobot_pi05_bf16mixed", "jax_pi05", "mixed", 2],
    ["lerobot_pi0_bf16mixed", "jax_pi0", "mixed", 2],
    ["orbax/puredict_ocdbt", "jax_pi05", asIs, 0],
    ["orbax/puredict_ocdbt_bf16", "jax_pi05", roundBf16, 0],
    ["orbax/puredict_plain_zarr2", "jax_pi05", asIs, 0],
    ["orbax/puredict_plain_zarr3", "jax_pi05", asIs, 0],
  ] as const;
  test.each(cases)("%s", async (folder, model, round, ignored) => {
    const path = sharedPath("golden", "weights", ...folder.split("/"));
    const done = await importWeights(path, file, STAND_IN);
    await checkComplete(path, done);
    expect(done.report.ignored).toHaveLength(ignored);
    expect(done.report.initialised).toEqual([]);
    expect(configModelType(done.config)).toBe(model.slice(4));
    const { vlm, expert, siglip, imageSize, vocabSize, actionDim, actionHorizon } = done.config;
    const heads = { depth: 3, numHeads: 8, numKvHeads: 1, headDim: 16 };
    expect({ vlm, expert, siglip, imageSize, vocabSize, actionDim, actionHorizon }).toEqual({
      vlm: { width: 64, mlpDim: 128, ...heads },
      expert: { width: 32, mlpDim: 96, ...heads },
      siglip: { width: 48, depth: 2, mlpDim: 80, numHeads: 4, patchSize: 14 },
      imageSize: 56,
      vocabSize: 2048,
      actionDim: 32,
      actionHorizon: 8,
    });
    const imported = await readSafetensors(file);
    const dtypes = new Map(done.report.mapped.map((m) => [m.path, m.dtype]));
    for (const [name, { data, shape }] of sharedTensors(
      "golden",
      "weights",
      model,
      "params_flat.safetensors",
    )) {
      const actual = imported.get(name)!;
      const change = round === "mixed" ? (dtypes.get(name) === "BF16" ? roundBf16 : asIs) : round;
      expect(actual.shape, name).toEqual(shape);
      expect(bits(actual.data as Float32Array).equals(bits(change(data as Float32Array))), name).toBe(true);
    }
  });

  test.each([
    ["pt_224_tiny.npz", asIs],
    ["pt_224_tiny.deflate.npz", asIs],
    ["pt_224_tiny.bf16.npz", roundBf16],
    ["pt_224_tiny.f16.npz", undefined],
  ] as const)("big_vision %s: the VLM; the expert is initialised and listed", async (name, round) => {
    const path = sharedPath("golden", "weights", "big_vision", name);
    await expect(importWeights(path, file)).rejects.toMatchObject({ code: "weights/model-type" });
    const done = await importWeights(path, file, { modelType: "pi05_ki", model: { expert } });
    await checkComplete(path, done);
    expect(done.report.mapped).toHaveLength(32);
    expect(done.report.initialised.map((p) => p.path)).toContain("time_mlp_in/kernel");
    expect(done.report.initialised).toHaveLength(51 - 32);
    const imported = await readSafetensors(file);
    const expected = sharedTensors("golden", "weights", "jax_pi05", "params_flat.safetensors");
    for (const { path: param } of done.report.mapped) {
      const [actual, reference] = [imported.get(param)!, expected.get(param)!];
      expect(actual.shape, param).toEqual(reference.shape);
      if (round)
        expect(
          bits(actual.data as Float32Array).equals(bits(round(reference.data as Float32Array))),
          param,
        ).toBe(true);
      else
        expect(actual.data, param).toBeAllclose(reference.data, {
          rtol: 2 ** -11,
          scale: "element",
          atol: 2 ** -25,
        });
    }
    // The same seed draws the same numbers; another draws others.
    const again = join(dir, "again.safetensors");
    await importWeights(path, again, { modelType: "pi05_ki", model: { expert } });
    const other = join(dir, "other.safetensors");
    await importWeights(path, other, { modelType: "pi05_ki", model: { expert }, seed: 1 });
    const [a, b] = [await readSafetensors(again), await readSafetensors(other)];
    const kernel = "action_in_proj/kernel";
    expect(a.get(kernel)).toEqual(imported.get(kernel));
    expect(b.get(kernel)).not.toEqual(imported.get(kernel));
  });

  test("the names of released LeRobot weights: openpi's own, or all prefixed with the head alone", async () => {
    const folder = join(dir, "hub");
    mkdirSync(folder);
    copyFileSync(sharedPath("golden", "weights", "lerobot_pi05", "config.json"), join(folder, "config.json"));
    const model = join(folder, "model.safetensors");
    const tensors = sharedTensors("golden", "weights", "openpi_torch_pi05", "model.safetensors");
    const expected = sharedTensors("golden", "weights", "jax_pi05", "params_flat.safetensors");
    for (const prefix of ["", "model."]) {
      await writeSafetensors(
        model,
        [...tensors].map(([name, tensor]) => [prefix + name, tensor] as const),
      );
      // Horizon and prompt length come from config.json.
      const done = await importWeights(folder, file, { siglipHeads: 4 });
      expect(done.report).toMatchObject({ format: "lerobot", modelType: "pi05" });
      expect(done.config).toMatchObject({ actionHorizon: 8, maxTokenLen: 24 });
      const imported = await readSafetensors(file);
      for (const [name, { data }] of expected) expect(imported.get(name)!.data, name).toEqual(data);
    }
  });

  test("pi0 weights into pi05: the shared parameters, the rest initialised and ignored with reasons", async () => {
    const path = sharedPath("golden", "weights", "lerobot_pi0");
    const done = await importWeights(path, file, { ...STAND_IN, modelType: "pi05" });
    await checkComplete(path, done);
    expect(done.report.ignored).toContainEqual({
      name: "state_proj.weight",
      reason: "not a parameter of pi05",
    });
    expect(done.report.initialised.map((p) => p.path)).toContain(
      "PaliGemma/llm/layers/pre_ffw_norm_1/Dense_0/kernel",
    );
  });
});

describeShared("the real checkpoints' names and shapes map completely", () => {
  const full = { width: 2048, depth: 18, mlpDim: 16_384, numHeads: 8, numKvHeads: 1, headDim: 256 };
  test.each([
    ["openpi_torch_pi05", "openpi-pytorch", 812],
    ["openpi_torch_pi0", "openpi-pytorch", 777],
    ["jax_pi05", "openpi-jax", 51],
    ["jax_pi0", "openpi-jax", 50],
  ] as const)("%s", (name, format, count) => {
    const index = sharedJson<Record<string, number[]>>("golden", "weights", "real_index", `${name}.json`);
    const source: WeightSource = {
      format,
      path: name,
      tensors: new Map(Object.entries(index).map(([key, shape]) => [key, { dtype: "F32", shape }])),
      facts: {},
      chunks: () => expect.unreachable(),
      read: () => expect.unreachable(),
      close: async () => undefined,
    };
    const { config, report, tensors } = planImport(source);
    expect(source.tensors.size).toBe(count);
    expect(report.mapped.flatMap((m) => m.from).length + report.ignored.length).toBe(count);
    expect(report.ignored).toHaveLength(format === "openpi-jax" ? 0 : 1);
    expect(report.initialised).toEqual([]);
    expect(config.vlm).toEqual(full);
    expect(config.expert).toEqual({ ...full, width: 1024, mlpDim: 4096 });
    expect(config.siglip).toEqual({ width: 1152, depth: 27, mlpDim: 4304, numHeads: 16, patchSize: 14 });
    expect(config).toMatchObject({ imageSize: 224, vocabSize: 257_152, actionDim: 32 });
    // What is made has the JAX index's names and shapes.
    const jax = sharedJson<Record<string, number[]>>(
      "golden",
      "weights",
      "real_index",
      `jax_${name.split("_").at(-1)}.json`,
    );
    expect(Object.fromEntries(tensors.map((t) => [t.name, t.shape]))).toEqual(jax);
  });
});
