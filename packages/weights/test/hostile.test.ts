import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { InsulaError } from "@insula/model-types";
import { readSafetensors, type Writable, writeSafetensors } from "@insula/safetensors";
import { describeShared, sharedPath } from "@insula/test-kit";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { importWeights } from "../src/import.js";
import { parseMeta } from "../src/jax/zarr-meta.js";
import { crc32 } from "../src/store/crc.js";
import { readOcdbt } from "../src/store/ocdbt.js";
import { streamZstd } from "../src/store/zstd.js";
import { STAND_IN } from "./stand-in.js";

const dir = mkdtempSync(join(tmpdir(), "insula-hostile-"));
afterAll(() => rmSync(dir, { recursive: true }));
const out = join(dir, "out.safetensors");

/** The import fails with that code, names these words, and leaves no file. */
async function refused(source: string, code: string, ...words: string[]) {
  const before = readdirSync(dir).sort();
  const error = await importWeights(source, out, STAND_IN).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(InsulaError);
  expect((error as InsulaError).code).toBe(code);
  for (const word of words) expect((error as InsulaError).message).toContain(word);
  expect(readdirSync(dir).sort()).toEqual(before);
}

/** A zip with one entry, any part of which can be wrong. */
function zip(
  name: string,
  data: Uint8Array,
  change: { method?: number; size?: number; crc?: number; count?: number } = {},
): Buffer {
  const packed = change.method === 8 ? deflateRawSync(data) : Buffer.from(data);
  const [method, size, crc] = [change.method ?? 0, change.size ?? data.length, change.crc ?? crc32(data)];
  const bytes = Buffer.from(name);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(bytes.length, 26);
  const central = Buffer.alloc(46);
  central.writeUInt32LE(0x02014b50, 0);
  central.writeUInt16LE(method, 10);
  central.writeUInt32LE(crc, 16);
  central.writeUInt32LE(packed.length, 20);
  central.writeUInt32LE(size, 24);
  central.writeUInt16LE(bytes.length, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(change.count ?? 1, 10);
  end.writeUInt32LE(46 + bytes.length, 12);
  end.writeUInt32LE(30 + bytes.length + packed.length, 16);
  return Buffer.concat([local, bytes, packed, central, bytes, end]);
}

function npy(header: string, data = new Uint8Array(0)): Uint8Array {
  const text = `${header}\n`;
  return Buffer.concat([
    Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, text.length & 255, text.length >> 8]),
    Buffer.from(text),
    data,
  ]);
}

const array = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", new Uint8Array(8));

test.each([
  ["not a zip at all", Buffer.from("hello"), "weights/zip"],
  ["names that climb", zip("../../etc/passwd.npy", array), "weights/zip"],
  ["absolute names", zip("/etc/passwd.npy", array), "weights/zip"],
  ["a wrong checksum", zip("params/x.npy", array, { crc: 1 }), "weights/zip"],
  ["more entries than there are", zip("params/x.npy", array, { count: 9 }), "weights/zip"],
  ["an unknown method", zip("params/x.npy", array, { method: 99 }), "weights/zip"],
  [
    "a deflate bomb: a megabyte behind a stated 100 bytes",
    zip("params/x.npy", new Uint8Array(1 << 20), { method: 8, size: 100 }),
    "weights/zip",
  ],
  ["sizes that differ in a stored entry", zip("params/x.npy", array, { size: 1000 }), "weights/zip"],
  [
    "an object array (a pickle)",
    zip("params/x.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }")),
    "weights/dtype",
  ],
  [
    "Fortran order",
    zip(
      "params/x.npy",
      npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", new Uint8Array(16)),
    ),
    "weights/npy",
  ],
  [
    "an absurd shape",
    zip(
      "params/x.npy",
      npy("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999, 999999999999), }"),
    ),
    "weights/npy",
  ],
  [
    "a shape without its data",
    zip("params/x.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99,), }")),
    "weights/npy",
  ],
  ["a header that is not one", zip("params/x.npy", npy("__import__('os')")), "weights/npy"],
])("npz: %s is refused", async (_, bytes, code) => {
  const path = join(dir, "bad.npz");
  writeFileSync(path, bytes);
  await refused(path, code, path);
});

test("zstd: bombs, windows and cuts", async () => {
  const read = async (bytes: number[], length: number) => {
    let made = 0;
    for await (const part of streamZstd({ bytes: Uint8Array.from(bytes) }, length, "chunk"))
      made += part.length;
    return made;
  };
  const magic = [0x28, 0xb5, 0x2f, 0xfd];
  // One run-length block of 128 KB of zeros in four bytes, a thousand times.
  const block = [0x02, 0x00, 0x10, 0x00];
  const bomb = [...magic, 0x00, 0x38, ...Array.from({ length: 1000 }, () => block).flat()];
  await expect(read(bomb, 1000)).rejects.toMatchObject({ code: "weights/zstd" });
  await expect(read([...magic, 0x00, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 4)).rejects.toThrow("window");
  // A frame that states to be one window of 2 GB.
  await expect(read([...magic, 0xa0, 0, 0, 0, 0x7f, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 4)).rejects.toThrow(
    "window",
  );
  await expect(read([1, 2, 3, 4, 5, 6, 7, 8], 4)).rejects.toMatchObject({ code: "weights/zstd" });
});

test("zarr metadata: anything that is JSON is read or refused by name", () => {
  const meta = {
    zarr_format: 2,
    shape: [2],
    chunks: [2],
    dtype: "<f4",
    order: "C",
    compressor: null,
    filters: null,
    fill_value: null,
  };
  const parse = (json: unknown) => parseMeta(Buffer.from(JSON.stringify(json)), 2, "file: array");
  expect(parse(meta)).toMatchObject({ shape: [2], dtype: "F32" });
  for (const change of [
    { dtype: "|O" },
    { dtype: "__proto__" },
    { compressor: { id: "blosc" } },
    { shape: [-1] },
    { shape: [2 ** 40, 2 ** 40], chunks: [1, 1] },
    { chunks: [0] },
    { chunks: [1, 1] },
    { order: "F" },
    { filters: [{ id: "delta" }] },
    { zarr_format: 3 },
    { fill_value: 7 },
  ]) {
    expect(() => parse({ ...meta, ...change }), JSON.stringify(change)).toThrow(/^file: array/);
  }
  fc.assert(
    fc.property(fc.json(), fc.constantFrom(2 as const, 3 as const), (json, version) => {
      try {
        parseMeta(Buffer.from(json), version, "file: array");
      } catch (error) {
        expect(error).toBeInstanceOf(InsulaError);
      }
    }),
  );
});

describeShared("damaged copies of the stand-ins", () => {
  const standIn = (...parts: string[]) => sharedPath("golden", "weights", ...parts);

  async function changed(change: (tensors: Map<string, Writable>) => void): Promise<string> {
    const tensors = new Map<string, Writable>(
      await readSafetensors(standIn("openpi_torch_pi05", "model.safetensors")),
    );
    change(tensors);
    const path = join(dir, "model.safetensors");
    await writeSafetensors(path, tensors);
    return path;
  }

  const down = "paligemma_with_expert.gemma_expert.model.layers.1.mlp.down_proj.weight";

  test("safetensors: what is missing, misshapen, misnamed or of another type is named", async () => {
    await refused(await changed((t) => t.delete(down)), "weights/missing-tensor", down);
    await refused(
      await changed((t) => t.set(down, { data: new Float32Array(4), shape: [2, 2] })),
      "weights/shape",
      down,
      "expected [32, 96], found [2, 2]",
    );
    await refused(
      await changed((t) => t.set(down, { data: new Int32Array(32 * 96), shape: [32, 96] })),
      "weights/dtype",
      down,
      "I32",
    );
    await refused(
      await changed((t) => t.set("../../evil", { data: new Float32Array(1), shape: [1] })),
      "weights/unknown-tensor",
      "../../evil",
    );
    await refused(
      await changed((t) =>
        t.set(`${down.slice(0, -7)}.lora_A.weight`, { data: new Float32Array(1), shape: [1] }),
      ),
      "weights/lora",
      "merge",
    );
    await refused(
      await changed((t) => t.delete("paligemma_with_expert.paligemma.lm_head.weight")),
      "weights/missing-tensor",
    );
  });

  test("safetensors: cut short, or with a header that lies", async () => {
    const path = join(dir, "cut.safetensors");
    copyFileSync(standIn("lerobot_pi05", "model.safetensors"), path);
    const { length } = readFileSync(path);
    for (const size of [length - 1, 20_000, 100, 7, 0]) {
      truncateSync(path, size);
      await refused(path, "safetensors/header", path);
    }
    for (const header of [
      '{"x":1}',
      "[]",
      "null",
      '{"x":{"dtype":"F32","shape":[1e99],"data_offsets":[0,4]}}',
      '{"x":{"shape":[1],"data_offsets":7}}',
    ]) {
      const bytes = Buffer.alloc(8 + header.length);
      bytes.writeBigUInt64LE(BigInt(header.length));
      bytes.write(header, 8);
      writeFileSync(path, bytes);
      await refused(path, "safetensors/header", path);
    }
    writeFileSync(path, Buffer.from("ffffffffffffff7f", "hex"));
    await refused(path, "safetensors/header", "at most");
  });

  test("npz: every cut is an error", async () => {
    const path = join(dir, "cut.npz");
    copyFileSync(standIn("big_vision", "pt_224_tiny.deflate.npz"), path);
    for (const size of [readFileSync(path).length - 1, 500_000, 10]) {
      truncateSync(path, size);
      await refused(path, "weights/zip", path);
    }
  });

  test("orbax: any byte of the database turned over is an error or changes nothing", async () => {
    const folder = join(dir, "params");
    cpSync(standIn("orbax", "puredict_ocdbt", "params"), folder, { recursive: true });
    const intact = await readOcdbt(folder);
    const files = ["manifest.ocdbt", join("d", readdirSync(join(folder, "d"))[0]!)];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        fc.integer({ min: 1, max: 255 }),
        async (name, where, mask) => {
          const path = join(folder, name);
          const original = readFileSync(path);
          const bytes = Buffer.from(original);
          const at = Math.floor(where * bytes.length);
          bytes[at] = bytes[at]! ^ mask;
          try {
            writeFileSync(path, bytes);
            const store = await readOcdbt(folder).catch((error: unknown) => error);
            if (store instanceof Error) expect(store).toBeInstanceOf(InsulaError);
            else expect(store).toEqual(intact);
          } finally {
            writeFileSync(path, original);
          }
        },
      ),
      { numRuns: 100 },
    );
    // Data files cut short: the array is named.
    const data = readdirSync(join(folder, "ocdbt.process_0", "d")).map((name) =>
      join(folder, "ocdbt.process_0", "d", name),
    );
    for (const path of data) truncateSync(path, 1000);
    await refused(folder, "weights/truncated", folder);
    rmSync(folder, { recursive: true });
    expect(existsSync(out)).toBe(false);
  });
});
