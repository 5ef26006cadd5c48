import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { initParams } from "@insula/ki-model";
import { makeModelConfig } from "@insula/model-types";
import { readSafetensors, streamed, writeSafetensors, writeShardedSafetensors } from "@insula/safetensors";
import { afterAll, expect, test } from "vitest";
import { exportWeights } from "../src/export.js";
import { importWeights } from "../src/import.js";
import { openWeights } from "../src/open.js";

const dir = mkdtempSync(join(tmpdir(), "insula-weights-sharded-"));
afterAll(() => rmSync(dir, { recursive: true }));

const stack = { width: 8, depth: 2, mlpDim: 12, numHeads: 2, numKvHeads: 1, headDim: 4 };
const config = makeModelConfig({
  pi05: true,
  knowledgeInsulation: false,
  actionDim: 3,
  vocabSize: 9,
  imageSize: 4,
  siglip: { width: 4, depth: 1, mlpDim: 6, numHeads: 2, patchSize: 2 },
  vlm: stack,
  expert: stack,
});

test("a checkpoint in shards exports and imports as the one in one file", async () => {
  const params = initParams(config, 3);
  const [one, many] = [join(dir, "one"), join(dir, "many")];
  for (const folder of [one, many]) mkdirSync(join(folder, "params"), { recursive: true });
  const whole = join(one, "params", "params.safetensors");
  await writeSafetensors(whole, params);
  const stem = join(many, "params", "params.safetensors");
  const tensors = [...params].map(([name, array]) => streamed(name, array));
  await writeShardedSafetensors(stem, tensors, { shardBytes: 2000 });
  expect(existsSync(stem)).toBe(false);
  expect(readdirSync(join(many, "params")).length).toBeGreaterThan(3);

  for (const [file, out] of [
    [whole, "one-out"],
    [stem, "many-out"],
  ] as const)
    await exportWeights(file, config, "openpi", join(dir, out));
  const bytes = (out: string) => readFileSync(join(dir, out, "model.safetensors"));
  expect(bytes("many-out").equals(bytes("one-out"))).toBe(true);

  // The checkpoint's folder, the file that is in shards, and the index.
  for (const path of [many, stem, `${stem}.index.json`]) {
    const { format, tensors, close } = await openWeights(path);
    expect({ format, tensors: tensors.size }).toEqual({ format: "insula", tensors: params.size });
    await close();
    const again = join(dir, "again.safetensors");
    await importWeights(path, again, { model: config });
    expect(await readSafetensors(again)).toEqual(await readSafetensors(whole));
  }
});
