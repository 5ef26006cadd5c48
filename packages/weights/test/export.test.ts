import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { initParams } from "@insula/ki-model";
import { type ModelConfig, makeModelConfig } from "@insula/model-types";
import { openSafetensors, readSafetensors, writeSafetensors } from "@insula/safetensors";
import { describeShared, sharedPath } from "@insula/test-kit";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { exportWeights } from "../src/export.js";
import { importWeights } from "../src/import.js";
import { STAND_IN } from "./stand-in.js";

const dir = mkdtempSync(join(tmpdir(), "insula-weights-"));
afterAll(() => rmSync(dir, { recursive: true }));
let made = 0;
const fresh = () => join(dir, String(made++));

async function expectSame(actual: string, expected: string, only?: (name: string) => boolean) {
  const [a, b] = [await readSafetensors(actual), await readSafetensors(expected)];
  const names = [...b.keys()].filter(only ?? (() => true));
  if (!only) expect([...a.keys()].sort()).toEqual(names.sort());
  for (const name of names) {
    const [x, y] = [a.get(name)!, b.get(name)!];
    expect({ shape: x.shape, dtype: x.dtype }, name).toEqual({ shape: y.shape, dtype: y.dtype });
    expect(Buffer.from(x.data.buffer).equals(Buffer.from(y.data.buffer)), name).toBe(true);
  }
}

const dim = fc.integer({ min: 1, max: 3 });
/** Small models of every type and awkward sizes. */
const configs: fc.Arbitrary<ModelConfig> = fc
  .record({
    type: fc.constantFrom("pi0", "pi05", "pi05_ki"),
    depth: dim,
    heads: dim,
    kv: fc.boolean(),
    width: fc.tuple(dim, dim, dim),
    mlp: fc.tuple(dim, dim, dim),
    patches: dim,
    actionDim: fc.integer({ min: 1, max: 5 }),
    vocabSize: fc.integer({ min: 2, max: 9 }),
  })
  .map(({ type, depth, heads, kv, width, mlp, patches, actionDim, vocabSize }) => {
    const shared = { depth, numHeads: heads, numKvHeads: kv ? heads : 1, headDim: 4 };
    return makeModelConfig({
      pi05: type !== "pi0",
      knowledgeInsulation: type === "pi05_ki",
      actionDim,
      vocabSize,
      imageSize: 2 * patches,
      siglip: { width: 2 * width[0], depth: mlp[0], mlpDim: 3 * mlp[0], numHeads: 2, patchSize: 2 },
      vlm: { width: 5 * width[1], mlpDim: 3 * mlp[1], ...shared },
      expert: { width: 2 * width[2], mlpDim: 5 * mlp[2], ...shared },
    });
  });

test("export and import again: the same bits, whatever the sizes", async () => {
  await fc.assert(
    fc.asyncProperty(configs, fc.integer(), async (config, seed) => {
      const file = `${fresh()}.safetensors`;
      await writeSafetensors(file, initParams(config, seed), { format: "np" });
      for (const format of ["openpi", "lerobot"] as const) {
        const out = fresh();
        await exportWeights(file, config, format, out);
        const back = `${fresh()}.safetensors`;
        const { config: found } = await importWeights(out, back, {
          modelType: config.knowledgeInsulation ? "pi05_ki" : config.pi05 ? "pi05" : "pi0",
        });
        expect(found).toEqual(config);
        await expectSame(back, file);
      }
      const out = fresh();
      await exportWeights(file, config, "npz", out);
      const back = `${fresh()}.safetensors`;
      const { report } = await importWeights(join(out, "paligemma.npz"), back, {
        modelType: "pi05",
        model: config,
      });
      const vlm = new Set(report.mapped.map((m) => m.path));
      await expectSame(back, file, (name) => vlm.has(name));
    }),
    { numRuns: 25 },
  );
});

describeShared("import and export again gives the source's bits", () => {
  test.each([
    ["openpi_torch_pi05", "openpi"],
    ["openpi_torch_pi0", "openpi"],
    ["lerobot_pi05", "lerobot"],
    ["lerobot_pi0", "lerobot"],
  ] as const)("%s", async (folder, format) => {
    const source = sharedPath("golden", "weights", folder);
    const file = `${fresh()}.safetensors`;
    const { config } = await importWeights(source, file, STAND_IN);
    const out = fresh();
    const report = await exportWeights(file, config, format, out);
    const [written, original] = [join(out, "model.safetensors"), join(source, "model.safetensors")];
    // All but the expert's head, which nothing reads and no checkpoint of ours has.
    await expectSame(written, original, (name) => !report.zeros.includes(name));
    const [a, b] = [await openSafetensors(written), await openSafetensors(original)];
    expect([...a.tensors.keys()].sort()).toEqual([...b.tensors.keys()].sort());
    for (const [name, { shape }] of b.tensors) expect(a.tensors.get(name)!.shape, name).toEqual(shape);
    if (format === "openpi") expect(a.metadata).toMatchObject(b.metadata);
    await a.close();
    await b.close();
    await expect(exportWeights(file, config, format, out)).rejects.toMatchObject({ code: "weights/exists" });
  });
});
