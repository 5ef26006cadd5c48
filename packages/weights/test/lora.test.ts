import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { initParams, mergeLora, type ParamTree } from "@insula/ki-model";
import { type GemmaLora, type ModelConfig, makeModelConfig, withoutLora } from "@insula/model-types";
import { openSafetensors, readSafetensors, writeSafetensors } from "@insula/safetensors";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { exportWeights } from "../src/export.js";
import { importWeights } from "../src/import.js";
import { mergedReader, mergeLoraFile } from "../src/merge.js";

const dir = mkdtempSync(join(tmpdir(), "insula-weights-lora-"));
afterAll(() => rmSync(dir, { recursive: true }));
let made = 0;
const fresh = () => join(dir, String(made++));

/** Adapters whose B is drawn, so that merging them changes every weight. */
const drawn = (rank: number, alpha = rank): GemmaLora => ({
  attn: { rank, alpha, initB: "normal" },
  ffn: { rank: 2 * rank, alpha: 2 * alpha, initB: "normal" },
});

function tiny(vlm: GemmaLora | null, expert: GemmaLora | null, numKvHeads = 1): ModelConfig {
  const of = { width: 10, depth: 2, mlpDim: 14, numHeads: 2, numKvHeads, headDim: 4 };
  return makeModelConfig({
    pi05: true,
    actionDim: 4,
    vocabSize: 20,
    imageSize: 4,
    siglip: { width: 4, depth: 1, mlpDim: 6, numHeads: 2, patchSize: 2 },
    vlm: { ...of, ...(vlm ? { lora: vlm } : {}) },
    expert: { ...of, width: 6, ...(expert ? { lora: expert } : {}) },
  });
}

async function save(params: ParamTree): Promise<string> {
  const file = `${fresh()}.safetensors`;
  await writeSafetensors(file, params, { format: "np" });
  return file;
}

const read = async (file: string) => (await readSafetensors(file)) as unknown as ParamTree;

function expectSame(actual: ParamTree, expected: ParamTree): void {
  expect([...actual.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [path, { data, shape }] of expected) {
    expect(actual.get(path)!.shape, path).toEqual(shape);
    expect(actual.get(path)!.data, path).toEqual(data);
  }
}

test.each([1, 2])("merged as a file and in memory: the same bits (%i key heads)", async (numKvHeads) => {
  const config = tiny(drawn(3, 1.5), drawn(2), numKvHeads);
  const params = initParams(config, 1);
  const file = await save(params);
  const out = `${fresh()}.safetensors`;
  const merged = await mergeLoraFile(file, config, out);
  expect(merged).toHaveLength(numKvHeads === 1 ? 10 : 8);
  const expected = mergeLora(params, config);
  expectSame(await read(out), expected);
  for (const path of merged) expect(expected.get(path)!.data, path).not.toEqual(params.get(path)!.data);
});

test("any run of elements is that of the merged weight", async () => {
  const config = tiny(drawn(3), drawn(2));
  const params = initParams(config, 2);
  const merged = mergeLora(params, config);
  const file = await openSafetensors(await save(params));
  const reader = mergedReader(file, config);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...merged.keys()),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (path, x, y) => {
        const { data } = merged.get(path)!;
        const [begin, end] = [Math.min(x, y), Math.max(x, y)].map((t) => Math.round(t * data.length));
        expect(await reader.read(path, begin!, end!), path).toEqual(data.slice(begin, end));
      },
    ),
    { numRuns: 200 },
  );
  await file.close();
});

test.each(["openpi", "lerobot", "npz"] as const)("%s gets the merged weights", async (format) => {
  const config = tiny(drawn(2), drawn(2));
  const params = initParams(config, 3);
  const [adapted, plain] = [fresh(), fresh()];
  const report = await exportWeights(await save(params), config, format, adapted);
  const merged = await save(mergeLora(params, config));
  const expected = await exportWeights(merged, withoutLora(config), format, plain);
  expect(report.merged).toHaveLength(10);
  expect(expected.merged).toEqual([]);
  expect(report.written).toEqual(expected.written);
  const [a, b] = await Promise.all(
    [adapted, plain].map(async (path) => {
      const file = `${fresh()}.safetensors`;
      const model = { ...withoutLora(config) };
      const source = format === "npz" ? join(path, "paligemma.npz") : path;
      await importWeights(source, file, { modelType: "pi05", siglipHeads: 2, model });
      return read(file);
    }),
  );
  expectSame(a!, b!);
});

test("a file with adapters is not exported as one without", async () => {
  const config = tiny(drawn(2), null);
  const file = await save(initParams(config, 3));
  await expect(exportWeights(file, withoutLora(config), "openpi", fresh())).rejects.toMatchObject({
    code: "weights/lora",
    message: expect.stringContaining("leaves out"),
  });
});

describe("import", () => {
  test("adapters are found: groups, ranks, targets", async () => {
    const config = tiny({ attn: { rank: 3, alpha: 3 } }, { ffn: { rank: 2, alpha: 2, targets: ["linear"] } });
    const params = initParams(config, 4);
    const out = `${fresh()}.safetensors`;
    const { config: found, report } = await importWeights(await save(params), out);
    expect(found.vlm).toEqual(config.vlm);
    expect(found.expert).toEqual(config.expert);
    expect(report.initialised).toEqual([]);
    expectSame(await read(out), params);
  });

  test("what scales them is taken from the configuration", async () => {
    const lora = drawn(3, 1);
    const params = initParams(tiny(lora, null), 4);
    const { config } = await importWeights(await save(params), `${fresh()}.safetensors`, {
      model: { vlm: { lora } },
    });
    expect(config.vlm.lora).toEqual(lora);
  });

  test("adapters that weights lack are initialised and listed", async () => {
    const config = tiny({ attn: { rank: 3 }, ffn: { rank: 3 } }, { attn: { rank: 2 } });
    const plain = withoutLora(config);
    const params = initParams(plain, 5);
    const own = await save(params);
    const torch = fresh();
    await exportWeights(own, plain, "openpi", torch);
    for (const source of [own, torch]) {
      const out = `${fresh()}.safetensors`;
      const { report } = await importWeights(source, out, {
        model: { vlm: { lora: config.vlm.lora! }, expert: { lora: config.expert.lora! } },
      });
      expect(report.initialised).toHaveLength(16);
      for (const { path, how } of report.initialised)
        expect(how, path).toBe(path.endsWith("lora_a") ? "normal, std 0.0100" : "zeros");
      const imported = await read(out);
      expectSame(mergeLora(imported, config), params);
    }
  });

  test("half an adapter, other ranks, unwanted ones are refused", async () => {
    const config = tiny(drawn(3), null);
    const params = initParams(config, 6);
    const a = "PaliGemma/llm/layers/attn/q_einsum/lora_a";
    const without = new Map([...params].filter(([path]) => path !== a.replace(/a$/, "b")));
    const refused = async (tree: ParamTree, lora: GemmaLora | null | undefined, code: string, text: string) =>
      expect(
        importWeights(await save(tree), `${fresh()}.safetensors`, {
          model: lora === undefined ? {} : { vlm: { lora } },
        }),
      ).rejects.toMatchObject({ code, message: expect.stringContaining(text) });
    await refused(without, undefined, "weights/missing-tensor", `has ${a} and no`);
    await refused(params, drawn(4), "weights/shape", `${a}: expected [2, 2, 10, 4], found [2, 2, 10, 3]`);
    await refused(params, null, "weights/lora", "leaves out");
  });
});
