import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { openSafetensors, type StreamedTensor, streamSafetensors, writeSafetensors } from "../src/index.js";

const dir = mkdtempSync(join(tmpdir(), "insula-stream-"));
afterAll(() => rmSync(dir, { recursive: true }));

const tensors = fc.dictionary(
  fc.string({ minLength: 1 }).filter((name) => name !== "__metadata__"),
  fc.oneof(
    fc.float32Array({ maxLength: 40 }).map((data) => ({ dtype: "F32" as const, data })),
    fc.uint16Array({ maxLength: 40 }).map((data) => ({ dtype: "BF16" as const, data })),
    fc.uint8Array({ maxLength: 40 }).map((data) => ({ dtype: "U8" as const, data })),
  ),
);

test("a stream writes the bytes of a whole file, however it is cut; any range of elements reads back", async () => {
  await fc.assert(
    fc.asyncProperty(tensors, fc.integer({ min: 1, max: 9 }), async (tree, step) => {
      const [whole, streamed] = [join(dir, "whole"), join(dir, "streamed")];
      const entries = Object.entries(tree);
      await writeSafetensors(
        whole,
        entries.map(([name, t]) => [name, { ...t, shape: [t.data.length] }]),
        { a: "b" },
      );
      const parts = entries.map(
        ([name, { dtype, data }]): StreamedTensor => ({
          name,
          dtype,
          shape: [data.length],
          *chunks() {
            for (let at = 0; at < data.length; at += step) yield data.slice(at, at + step);
          },
        }),
      );
      await streamSafetensors(streamed, parts, { a: "b" });
      expect(readFileSync(streamed).equals(readFileSync(whole))).toBe(true);
      const file = await openSafetensors(streamed);
      for (const [name, { data }] of entries) {
        const end = data.length;
        const begin = Math.min(step, end);
        expect((await file.readElements(name, begin, end)).data).toEqual(data.slice(begin, end));
        await expect(file.readElements(name, 0, end + 1)).rejects.toMatchObject({
          code: "safetensors/range",
        });
      }
      await file.close();
    }),
  );
});

test.each([
  ["too few", 1],
  ["too many", 3],
])("%s elements: an error that names the tensor, the old file stays", async (_, length) => {
  const path = join(dir, "file");
  await writeSafetensors(path, [["old", { data: Float32Array.of(1), shape: [1] }]]);
  const before = readFileSync(path);
  const wrong: StreamedTensor = {
    name: "w",
    dtype: "F32",
    shape: [2],
    chunks: () => [new Float32Array(length)],
  };
  await expect(streamSafetensors(path, [wrong])).rejects.toMatchObject({
    code: "safetensors/stream",
    message: expect.stringContaining("w: F32[2] needs 8 bytes"),
  });
  const thrown: StreamedTensor = {
    ...wrong,
    chunks() {
      throw new Error("source");
    },
  };
  await expect(streamSafetensors(path, [thrown])).rejects.toThrow("source");
  expect(readFileSync(path).equals(before)).toBe(true);
  expect(existsSync(`${path}.partial`)).toBe(false);
});
