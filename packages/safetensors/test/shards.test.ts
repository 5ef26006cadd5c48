import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import {
  openTensors,
  readSafetensors,
  readTensors,
  SHARD_BYTES,
  streamed,
  streamSafetensors,
  writeSafetensors,
  writeShardedSafetensors,
} from "../src/index.js";

const base = mkdtempSync(join(tmpdir(), "insula-shards-"));
afterAll(() => rmSync(base, { recursive: true }));

const vector = (length: number, from = 0) => ({
  data: Float32Array.from({ length }, (_, i) => from + i),
  shape: [length],
});
const sha256 = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

test("shards and index are named, filled and listed as Hugging Face has them", async () => {
  const dir = mkdtempSync(join(base, "named-"));
  const tensors = ["a", "b", "big", "c"].map((name) => streamed(name, vector(name === "big" ? 9 : 3)));
  const written = await writeShardedSafetensors(join(dir, "model.safetensors"), tensors, { shardBytes: 24 });
  // a and b fill 24 bytes; big exceeds a shard and has its own before the open one is closed, as huggingface_hub does it.
  const names = [1, 2].map((n) => `model-0000${n}-of-00003.safetensors`);
  expect(readdirSync(dir).sort()).toEqual([
    ...names,
    "model-00003-of-00003.safetensors",
    "model.safetensors.index.json",
  ]);
  expect(JSON.parse(readFileSync(join(dir, "model.safetensors.index.json"), "utf8"))).toEqual({
    metadata: { total_size: (3 + 3 + 9 + 3) * 4 },
    weight_map: {
      a: "model-00002-of-00003.safetensors",
      b: "model-00002-of-00003.safetensors",
      big: "model-00001-of-00003.safetensors",
      c: "model-00003-of-00003.safetensors",
    },
  });
  for (const { path, bytes, sha256: digest } of written) {
    expect({ bytes, digest }).toEqual({ bytes: statSync(path).size, digest: sha256(path) });
  }
  expect(written).toHaveLength(4);
});

test("a shard is of 2 GB unless another limit is given, 2,000,000,000 bytes", () => {
  expect(SHARD_BYTES).toBe(2_000_000_000);
});

test("whatever the limit, the same tensors come back, whole and in parts", async () => {
  const shapes = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(shapes, fc.integer({ min: 1, max: 200 }), async (lengths, shardBytes) => {
      const dir = mkdtempSync(join(base, "any-"));
      const path = join(dir, "params.safetensors");
      const given = new Map(lengths.map((length, i) => [`t/${i}`, vector(length, 100 * i)]));
      await writeShardedSafetensors(
        path,
        [...given].map(([name, tensor]) => streamed(name, tensor)),
        { shardBytes, metadata: { format: "np" } },
      );
      const found = await readTensors(path);
      expect([...found.keys()].sort()).toEqual([...given.keys()].sort());
      for (const [name, { data, shape }] of given) expect(found.get(name)).toMatchObject({ data, shape });
      const file = await openTensors(path);
      expect(file.metadata).toEqual({ format: "np" });
      const [name, { data }] = [...given].at(-1)!;
      const half = data.length >> 1;
      expect((await file.readElements(name, half, data.length)).data).toEqual(data.subarray(half));
      await expect(file.read("nothing")).rejects.toMatchObject({ code: "safetensors/missing" });
      await file.close();
    }),
    { numRuns: 20 },
  );
});

test("what fits is one file, byte for byte the one that is written whole", async () => {
  const dir = mkdtempSync(join(base, "one-"));
  const tensors = [["x", vector(5)] as const, ["y", vector(2)] as const];
  const path = join(dir, "params.safetensors");
  const [only, ...others] = await writeShardedSafetensors(
    path,
    tensors.map(([name, tensor]) => streamed(name, tensor)),
  );
  expect(others).toEqual([]);
  await writeSafetensors(join(dir, "whole.safetensors"), tensors);
  expect(sha256(path)).toBe(sha256(join(dir, "whole.safetensors")));
  expect(only!.sha256).toBe(sha256(path));
  expect(await readTensors(path)).toEqual(await readSafetensors(path));
});

test("a tensor goes to the disk in chunks of its own memory", async () => {
  const data = new Uint8Array((1 << 26) + 5).fill(7);
  const parts = [...(streamed("t", { data, shape: [data.length] }).chunks() as Iterable<Uint8Array>)];
  expect(parts.map((part) => part.length)).toEqual([1 << 26, 5]);
  expect(parts.every((part) => part.buffer === data.buffer)).toBe(true);
});

test("a broken index is named, and never leads elsewhere", async () => {
  const dir = mkdtempSync(join(base, "broken-"));
  const path = join(dir, "model.safetensors");
  await expect(openTensors(path)).rejects.toMatchObject({ code: "ENOENT", path });
  const index = (map: unknown) => writeFileSync(`${path}.index.json`, JSON.stringify(map));
  const problem = async (text: RegExp) => {
    await expect(openTensors(path)).rejects.toMatchObject({ code: "safetensors/index" });
    await expect(openTensors(path)).rejects.toThrow(text);
  };
  index({ weight_map: { a: "../../etc/model.safetensors" } });
  await problem(/a: expected the name of a .safetensors file beside it, found "\.\.\/\.\.\/etc/);
  index({ weight_map: { a: "gone.safetensors" } });
  await problem(/model.safetensors.index.json: names gone.safetensors, which is not there/);
  await streamSafetensors(join(dir, "gone.safetensors"), [streamed("b", vector(1))]);
  await problem(/'a' should be in gone.safetensors, which does not have it/);
  index([]);
  await problem(/expected an object with a weight_map/);
  writeFileSync(`${path}.index.json`, "{");
  await problem(/not JSON/);
});
