import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import {
  bf16ToFloat32,
  f16ToFloat32,
  float32ToBf16,
  openSafetensors,
  parseSafetensors,
  readSafetensors,
  serializeSafetensors,
  writeSafetensors,
} from "../src/index.js";

const dir = mkdtempSync(join(tmpdir(), "insula-safetensors-"));
afterAll(() => rmSync(dir, { recursive: true }));

const f32 = (values: number[], shape: number[]) => ({ data: Float32Array.from(values), shape });

test("serialise then parse is the identity", () => {
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.string({ minLength: 1 }).filter((k) => k !== "__metadata__" && k !== "__proto__"),
        fc.float32Array(),
      ),
      (entries) => {
        const tensors = Object.entries(entries).map(
          ([k, data]) => [k, { data, shape: [data.length] }] as const,
        );
        const parsed = parseSafetensors(serializeSafetensors(tensors));
        for (const [name, { data }] of tensors) expect(parsed.get(name)!.data).toEqual(data);
      },
    ),
  );
});

test("files are written whole and read tensor by tensor", async () => {
  const path = join(dir, "a.safetensors");
  await writeSafetensors(
    path,
    [
      ["mask", { data: Uint8Array.of(1, 0, 1), shape: [3], dtype: "BOOL" }],
      ["w", f32([1, 2, 3, 4], [2, 2])],
    ],
    { format: "pt" },
  );
  expect(readdirSync(dir)).toEqual(["a.safetensors"]);
  const file = await openSafetensors(path);
  expect(file.metadata).toEqual({ format: "pt" });
  expect(await file.read("w")).toEqual({ data: Float32Array.of(1, 2, 3, 4), shape: [2, 2], dtype: "F32" });
  await expect(file.read("v")).rejects.toThrow("no tensor 'v'");
  await file.close();
  expect((await readSafetensors(path)).get("mask")!.dtype).toBe("BOOL");
});

test("a Buffer at an odd offset parses like any other bytes", () => {
  const bytes = serializeSafetensors([["w", f32([1, 2], [2])]]);
  const shifted = Buffer.concat([Buffer.of(0), bytes]).subarray(1);
  expect(parseSafetensors(shifted).get("w")!.data).toEqual(Float32Array.of(1, 2));
});

test("hostile headers are refused with the file's name", async () => {
  const make = (json: string, extra = 0) => {
    const text = new TextEncoder().encode(json);
    const bytes = new Uint8Array(8 + text.length + extra);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
    bytes.set(text, 8);
    return bytes;
  };
  const parse =
    (json: string, extra = 0) =>
    () =>
      parseSafetensors(make(json, extra), "x.safetensors");
  expect(parse('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}')).toThrow(
    "x.safetensors: a: ends at byte",
  );
  expect(parse('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', 8)).toThrow(
    "a: F32[2] needs 8 bytes, data_offsets give 4",
  );
  expect(parse('{"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}', 8)).toThrow("unknown dtype 'F99'");
  expect(parse("{")).toThrow("x.safetensors: header is not JSON");
  const path = join(dir, "short");
  writeFileSync(path, Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 0, 1));
  await expect(openSafetensors(path)).rejects.toThrow("at most 100000000 allowed");
});

test("bfloat16 rounds to nearest even and widens exactly", () => {
  const bits = (...x: number[]) => [...float32ToBf16(Float32Array.from(x))];
  expect(bits(1, -2, 1 + 2 ** -8, 1 + 3 * 2 ** -8)).toEqual([0x3f80, 0xc000, 0x3f80, 0x3f82]);
  expect(bf16ToFloat32(float32ToBf16(Float32Array.of(Number.NaN)))[0]).toBeNaN();
  fc.assert(
    fc.property(fc.uint16Array(), (b) => {
      const finite = b.filter((x) => (x & 0x7f80) !== 0x7f80);
      expect(float32ToBf16(bf16ToFloat32(finite))).toEqual(finite);
    }),
  );
});

test("half precision widens exactly", () => {
  expect([...f16ToFloat32(Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00))]).toEqual([
    1,
    -2,
    2 ** -24,
    65504,
    Number.POSITIVE_INFINITY,
  ]);
});
