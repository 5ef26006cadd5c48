import { sizeOf } from "@insula/model-types";
import fc from "fast-check";
import { expect, test } from "vitest";
import { floats } from "../src/jax/orbax.js";
import { listArrays, streamArray } from "../src/jax/zarr.js";
import { collect } from "../src/source.js";
import { crc32c } from "../src/store/crc.js";
import type { KeyValueStore } from "../src/store/key-value.js";

/** Shape, chunk shape and, per chunk, whether it is there. Chunks may reach beyond the array and be larger than it. */
const arrays = fc
  .array(
    fc.record({
      size: fc.integer({ min: 1, max: 7 }),
      chunk: fc.integer({ min: 1, max: 8 }),
      chunks: fc.integer({ min: 1, max: 3 }),
    }),
    {
      maxLength: 4,
    },
  )
  .chain((axes) =>
    fc.record({
      shape: fc.constant(axes.map((a) => a.size)),
      chunk: fc.constant(axes.map((a) => a.chunk)),
      perShard: fc.constant(axes.map((a) => a.chunks)),
      present: fc.infiniteStream(fc.boolean()),
      some: fc.boolean(),
    }),
  );

const bytesOf = (data: Float32Array) => new Uint8Array(data.buffer);

function indices(shape: readonly number[]): number[][] {
  let all: number[][] = [[]];
  for (const d of shape) all = all.flatMap((head) => Array.from({ length: d }, (_, i) => [...head, i]));
  return all;
}

const flat = (index: readonly number[], shape: readonly number[]) =>
  index.reduce((at, x, i) => at * shape[i]! + x, 0);

/** The elements of one chunk, edges padded with a value that must never show; zeroes the expected ones of a missing chunk. */
function cut(
  data: Float32Array,
  shape: readonly number[],
  chunk: readonly number[],
  at: readonly number[],
  keep: boolean,
) {
  const out = new Float32Array(sizeOf(chunk)).fill(-999);
  for (const inside of indices(chunk)) {
    const index = inside.map((x, i) => at[i]! * chunk[i]! + x);
    if (index.some((x, i) => x >= shape[i]!)) continue;
    const from = flat(index, shape);
    if (keep) out[flat(inside, chunk)] = data[from]!;
    else data[from] = 0;
  }
  return out;
}

async function readBack(store: KeyValueStore, length: number) {
  const found = await listArrays(store, "store");
  const array = found.get("a")!;
  return collect(floats(streamArray(store, array, "store"), array.dtype), length, "a");
}

test("zarr v2: any grid, edges and missing chunks included, gives the array in order", async () => {
  await fc.assert(
    fc.asyncProperty(arrays, async ({ shape, chunk, present, some }) => {
      const data = Float32Array.from({ length: sizeOf(shape) }, (_, i) => i + 1);
      const store = new Map<string, { bytes: Uint8Array }>();
      const meta = {
        zarr_format: 2,
        shape,
        chunks: chunk,
        dtype: "<f4",
        order: "C",
        compressor: null,
        fill_value: null,
      };
      store.set("a/.zarray", { bytes: Buffer.from(JSON.stringify(meta)) });
      for (const at of indices(shape.map((d, i) => Math.ceil(d / chunk[i]!)))) {
        const keep = some || present.next().value === true;
        const bytes = bytesOf(cut(data, shape, chunk, at, keep));
        if (keep) store.set(`a/${at.length === 0 ? "0" : at.join(".")}`, { bytes });
      }
      expect(await readBack(store, data.length)).toEqual(data);
    }),
  );
});

test("zarr v3: the same in shards, and a wrong index is an error", async () => {
  await fc.assert(
    fc.asyncProperty(arrays, async ({ shape, chunk, perShard, present, some }) => {
      const data = Float32Array.from({ length: sizeOf(shape) }, (_, i) => i + 1);
      const outer = chunk.map((d, i) => d * perShard[i]!);
      const bytes = { name: "bytes", configuration: { endian: "little" } };
      const meta = {
        zarr_format: 3,
        node_type: "array",
        shape,
        data_type: "float32",
        fill_value: 0,
        chunk_grid: { name: "regular", configuration: { chunk_shape: outer } },
        chunk_key_encoding: { name: "default" },
        codecs: [
          {
            name: "sharding_indexed",
            configuration: { chunk_shape: chunk, codecs: [bytes], index_codecs: [bytes, { name: "crc32c" }] },
          },
        ],
      };
      const store = new Map<string, { bytes: Uint8Array }>();
      store.set("a/zarr.json", { bytes: Buffer.from(JSON.stringify(meta)) });
      for (const at of indices(shape.map((d, i) => Math.ceil(d / outer[i]!)))) {
        const inside = indices(perShard);
        const index = new DataView(new ArrayBuffer(16 * inside.length + 4));
        const parts: Uint8Array[] = [];
        let offset = 0;
        for (const [entry, x] of inside.entries()) {
          const keep = some || present.next().value === true;
          const part = bytesOf(
            cut(
              data,
              shape,
              chunk,
              x.map((c, i) => at[i]! * perShard[i]! + c),
              keep,
            ),
          );
          index.setBigUint64(16 * entry, keep ? BigInt(offset) : 0xffffffffffffffffn, true);
          index.setBigUint64(16 * entry + 8, keep ? BigInt(part.length) : 0xffffffffffffffffn, true);
          if (keep) {
            parts.push(part);
            offset += part.length;
          }
        }
        const table = new Uint8Array(index.buffer);
        index.setUint32(16 * inside.length, crc32c(table.subarray(0, -4)), true);
        store.set(`a/${["c", ...at].join("/")}`, { bytes: Buffer.concat([...parts, table]) });
      }
      expect(await readBack(store, data.length)).toEqual(data);
      const [key, shard] = [...store].find(([name]) => name !== "a/zarr.json")!;
      const broken = Uint8Array.from(shard.bytes);
      broken[broken.length - 5]! ^= 1;
      store.set(key, { bytes: broken });
      await expect(readBack(store, data.length)).rejects.toMatchObject({ code: "weights/zarr" });
    }),
  );
});
