/** @file Parquet files that promise what they cannot hold: refused, at once, without the memory they ask for. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { openParquet } from "../src/read/parquet.js";
import { readTable } from "../src/read/table.js";
import { tempFolder } from "./fixtures.js";
import {
  dataPage,
  dataPageV2,
  dictionaryPage,
  i32,
  i64,
  list,
  oneColumn,
  parquetBytes,
  struct,
  type Thrift,
  text,
  varint,
} from "./thrift-writer.js";

const folder = tempFolder();
let files = 0;

async function read(bytes: Uint8Array): Promise<unknown[]> {
  const path = join(folder, `${files++}.parquet`);
  writeFileSync(path, bytes);
  const values: unknown[] = [];
  const file = await openParquet(path);
  try {
    await file.read(["x"], 0, file.rows, (_, chunk) => values.push(...Array.from(chunk)));
  } finally {
    await file.close();
  }
  return values;
}

const int64 = (...values: number[]): number[] => [
  ...Buffer.from(BigInt64Array.from(values.map(BigInt)).buffer),
];

const [PLAIN, RLE, DELTA, RLE_DICTIONARY] = [0, 3, 5, 8];
const [SNAPPY, GZIP, BROTLI, ZSTD] = [1, 2, 4, 6];
const SMALL = dictionaryPage(2, int64(7, 9));

test("sound files made the same way are read", async () => {
  expect(await read(oneColumn({ pages: dataPage(4, PLAIN, int64(1, 2, 3, 4)) }))).toEqual([1n, 2n, 3n, 4n]);
  // Dictionary indices of one bit: a run of three 1s, then eight packed ones of which one counts.
  const indices = [1, ...varint(3 << 1), 1, ...varint((1 << 1) | 1), 0];
  const pages = [...SMALL, ...dataPage(4, RLE_DICTIONARY, indices)];
  expect(await read(oneColumn({ pages }))).toEqual([9n, 9n, 9n, 7n]);
  const zipped = [...gzipSync(Buffer.from(int64(5, 6, 7, 8)))];
  expect(await read(oneColumn({ codec: GZIP, pages: dataPage(4, PLAIN, zipped, 32) }))).toEqual([
    5n,
    6n,
    7n,
    8n,
  ]);
});

const deepSchema = (depth: number): Thrift =>
  list(
    ...Array.from({ length: depth }, () => struct({ 3: i32(0), 4: text("g"), 5: i32(1) })),
    struct({ 1: i32(2), 3: i32(0), 4: text("x") }),
  );
/** Structs in structs. */
const deepStruct = (depth: number): Thrift => {
  let value: Thrift = struct({});
  for (let i = 0; i < depth; i++) value = struct({ 1: value });
  return value;
};
/** Lists of 2^25 entries each, the first of which is again one. */
const deepLists = (depth: number): Thrift => {
  let value: Thrift = list(i32(1));
  for (let i = 0; i < depth; i++) value = { list: [value], length: 1 << 25 };
  return struct({ 1: value });
};
/** A page of zeros, compressed to almost nothing. */
const zeros = (length: number): Buffer => Buffer.alloc(length);
const FAST = { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } };
const zstdRuns = (blocks: number): number[] => [
  ...[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58], // No content size, a window of 2 MiB.
  ...Array.from({ length: blocks }, (_, i) => {
    const head = (i === blocks - 1 ? 1 : 0) | (1 << 1) | ((1 << 17) << 3);
    return [head & 255, (head >> 8) & 255, head >> 16, 0];
  }).flat(),
];

const bombs: Record<string, () => Uint8Array> = {
  "10^12 rows in the footer": () => oneColumn({ rows: 10n ** 12n }),
  "10^12 rows in a row group": () => oneColumn({ rows: 4, groupRows: 10n ** 12n, values: 10n ** 12n }),
  "2^63 rows": () => oneColumn({ rows: 2n ** 62n }),
  "fewer values than rows": () => oneColumn({ rows: 4, values: 2, pages: dataPage(2, PLAIN, int64(1, 2)) }),
  "fewer pages than values": () => oneColumn({ rows: 4, pages: dataPage(2, PLAIN, int64(1, 2)) }),
  "negative rows": () => oneColumn({ rows: -4 }),
  "a column beyond the end": () =>
    oneColumn({ pages: dataPage(4, PLAIN, int64(1, 2, 3, 4)), offset: 10n ** 9n }),
  "a column larger than the file": () =>
    oneColumn({ pages: dataPage(4, PLAIN, int64(1, 2, 3, 4)), size: 2 ** 31 }),
  "a footer longer than the file": () => parquetBytes([], struct({}), 0xffffffff),
  "a footer of nested structs": () => parquetBytes([], deepStruct(300)),
  "a footer of nested lists": () => parquetBytes([], deepLists(20)),
  "a schema element of 2^31 children": () =>
    oneColumn({ schema: list(struct({ 4: text("root"), 5: i32(2 ** 31 - 1) })) }),
  "a deep schema": () => oneColumn({ schema: deepSchema(2000) }),
  "a page larger than the file": () =>
    oneColumn({ pages: dataPage(4, PLAIN, int64(1)).concat([0]).slice(0, 12) }),
  "a page of 2 GB": () => oneColumn({ codec: SNAPPY, pages: dataPage(4, PLAIN, [0, 0, 0], 2 ** 31 - 1) }),
  "a page of more values than the column": () =>
    oneColumn({ pages: dataPage(10 ** 9, PLAIN, int64(1, 2, 3, 4)) }),
  "more values than bytes": () => oneColumn({ rows: 1000, pages: dataPage(1000, PLAIN, int64(1)) }),
  "a dictionary of 10^9 entries": () =>
    oneColumn({ pages: [...dictionaryPage(10 ** 9, int64(7)), ...dataPage(4, RLE_DICTIONARY, [1, 8, 0])] }),
  "a run of 2^30 values": () =>
    oneColumn({ pages: [...SMALL, ...dataPage(4, RLE_DICTIONARY, [1, ...varint(2 ** 31), 1])] }),
  "a packed run of no width that never ends": () =>
    oneColumn({ pages: [...SMALL, ...dataPageV2(4, RLE_DICTIONARY, [0, ...varint(0xffffffff)])] }),
  "indices of 255 bits": () =>
    oneColumn({ pages: [...SMALL, ...dataPage(4, RLE_DICTIONARY, [255, 8, 1, 1])] }),
  "levels longer than the page": () =>
    oneColumn({
      required: false,
      pages: dataPage(4, PLAIN, [255, 255, 255, 255, 8, 1, ...int64(1, 2, 3, 4)]),
    }),
  "a run of 2^30 levels": () =>
    oneColumn({
      required: false,
      pages: dataPage(4, PLAIN, [6, 0, 0, 0, ...varint(2 ** 31), 1, ...int64(1)]),
    }),
  "deltas in 2^31 parts": () =>
    oneColumn({ pages: dataPage(4, DELTA, [...varint(128), ...varint(2 ** 31 - 1), 4, 0, 0]) }),
  "deltas in blocks of nothing": () => oneColumn({ pages: dataPage(4, DELTA, [0, 1, 4, 0, 0, 0, 0]) }),
  "an unknown encoding": () => oneColumn({ pages: dataPage(4, 77, int64(1, 2, 3, 4)) }),
  "runs of numbers": () => oneColumn({ pages: dataPage(4, RLE, [2, 0, 0, 0, 8, 1]) }),
  "a Snappy block that lies about its length": () =>
    oneColumn({ codec: SNAPPY, pages: dataPage(4, PLAIN, [...varint(2 ** 31), 0, 0], 32) }),
  "a gzip bomb": () =>
    oneColumn({ codec: GZIP, pages: dataPage(4, PLAIN, [...gzipSync(zeros(1 << 26))], 32) }),
  "a Brotli bomb": () =>
    oneColumn({
      codec: BROTLI,
      pages: dataPage(4, PLAIN, [...brotliCompressSync(zeros(1 << 26), FAST)], 32),
    }),
  "a zstd bomb": () => oneColumn({ codec: ZSTD, pages: dataPage(4, PLAIN, zstdRuns(20_000), 32) }),
  "a zstd window of 2 GB": () =>
    oneColumn({ codec: ZSTD, pages: dataPage(4, PLAIN, [0x28, 0xb5, 0x2f, 0xfd, 0, 0xa7, 1, 0, 0], 32) }),
  "many pages that become far more than the file": () => {
    const page = [...gzipSync(zeros(1 << 27))];
    return oneColumn({
      codec: GZIP,
      pages: Array.from({ length: 4 }, () => dictionaryPage(1, page, 1 << 27)).flat(),
    });
  },
  "two row groups in the same bytes": () => {
    const pages = dataPage(4, PLAIN, int64(1, 2, 3, 4));
    return oneColumn({
      rows: 8,
      groupRows: 4,
      values: 4,
      groups: 2,
      pages: [...pages, ...pages],
      size: pages.length,
    });
  },
  "another magic": () => Buffer.from("PAR1 and then nothing of the kind"),
};

describe("a bomb", () => {
  test.each(Object.keys(bombs))("%s", async (name) => {
    const bytes = bombs[name]!();
    const before = process.memoryUsage().rss;
    const start = process.cpuUsage();
    const error = await read(bytes).catch((e: unknown) => e);
    expect(error).toMatchObject({ name: "InsulaError", code: "dataset/parquet" });
    expect(String(error)).toContain(`.parquet: not a complete parquet file (`);
    const { user, system } = process.cpuUsage(start);
    expect((user + system) / 1e6).toBeLessThan(3);
    expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 29);
  });

  test("a table of a million rows in a few bytes", async () => {
    // Honest runs: 60 000 rows are fine, more than the file has bytes are not.
    const bytes = (rows: number): Buffer =>
      oneColumn({ rows, pages: [...SMALL, ...dataPage(rows, RLE_DICTIONARY, [1, ...varint(rows * 2), 1])] });
    const path = join(folder, "table.parquet");
    writeFileSync(path, bytes(60_000));
    expect(await readTable(path)).toHaveLength(60_000);
    writeFileSync(path, bytes(66_500));
    await expect(readTable(path)).rejects.toMatchObject({ code: "dataset/parquet" });
  });

  test("an index that names pages of nowhere", async () => {
    const pages = dataPage(4, PLAIN, int64(1, 2, 3, 4));
    const index = (offset: number): number[] =>
      Array.from(
        encodeIndex(struct({ 1: list(struct({ 1: i64(offset), 2: i32(pages.length), 3: i64(0) })) })),
      );
    for (const [offset, fine] of [
      [4, true],
      [1, false],
      [10 ** 12, false],
    ] as const) {
      const bytes = withIndex(pages, index(offset));
      const path = join(folder, "index.parquet");
      writeFileSync(path, bytes);
      const file = await openParquet(path);
      const values: unknown[] = [];
      const reading = file.read(["x"], 1, 2, (_, chunk) => values.push(...Array.from(chunk)));
      if (fine) {
        await reading;
        expect(values).toContain(2n);
      } else await expect(reading).rejects.toMatchObject({ code: "dataset/parquet" });
      await file.close();
    }
  });
});

const encodeIndex = (value: Thrift): number[] => [...parquetBytes([], value)].slice(4, -8);

/** As {@link oneColumn}, with a page index behind the pages. */
function withIndex(pages: number[], index: number[]): Buffer {
  const meta = {
    1: i32(2),
    2: list(i32(0)),
    3: list(text("x")),
    4: i32(0),
    5: i64(4),
    6: i64(pages.length),
    7: i64(pages.length),
    9: i64(4),
  };
  const chunk = struct({ 2: i64(0), 3: struct(meta), 4: i64(4 + pages.length), 5: i32(index.length) });
  const footer = struct({
    1: i32(2),
    2: list(struct({ 4: text("root"), 5: i32(1) }), struct({ 1: i32(2), 3: i32(0), 4: text("x") })),
    3: i64(4),
    4: list(struct({ 1: list(chunk), 2: i64(pages.length), 3: i64(4) })),
  });
  return parquetBytes([...pages, ...index], footer);
}
