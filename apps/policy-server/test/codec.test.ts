import { InsulaError, type NdArray } from "@insula/model-types";
import fc from "fast-check";
import { Packr, Unpackr } from "msgpackr";
import { describe, expect, test } from "vitest";
import { createWriter } from "../src/codec/msgpack-writer.js";
import { decodeObservation, encodeMessage, type Message } from "../src/index.js";
import { bytesOf, READ, WRITTEN } from "./golden.js";

describe("the bytes of openpi-client", () => {
  test.each(Object.entries(WRITTEN))("written: %s", (_, [message, hex]) => {
    expect(Buffer.from(encodeMessage(message)).toString("hex")).toBe(hex);
  });

  test.each(Object.entries(READ))("read: %s", (_, [hex, sample]) => {
    expect(decodeObservation(bytesOf(hex))).toEqual(sample);
    // At any offset of a larger buffer, as a socket hands them over.
    const shifted = Buffer.concat([Buffer.alloc(3), bytesOf(hex)]).subarray(3);
    expect(decodeObservation(shifted)).toEqual(sample);
  });
});

/** The same with the marker maps built by hand, so that they can be wrong. */
function arrayBytes(fields: Record<string, unknown>): Uint8Array {
  const packr = new Packr({ useRecords: false, variableMapSize: true });
  const map = new Map(Object.entries(fields).map(([k, v]) => [Buffer.from(k), v]));
  return packr.pack(new Map([["x", map]]));
}
const array = (more: Record<string, unknown> = {}): Uint8Array =>
  arrayBytes({ __ndarray__: true, data: Buffer.alloc(8), dtype: "<f4", shape: [2], ...more });

const REFUSED: Readonly<Record<string, readonly [bytes: Uint8Array, code: string, message: RegExp]>> = {
  "an empty message": [new Uint8Array(), "codec/truncated", /expected 1 more, found 0/],
  "not a map": [bytesOf("01"), "codec/message", /a map of text keys/],
  "an array alone": [bytesOf("90"), "codec/message", /a map of text keys/],
  "two values": [bytesOf("8080"), "codec/trailing", /1 bytes follow/],
  "a huge array that is not there": [bytesOf("81a178ddffffffff"), "codec/truncated", /4294967295 elements/],
  "a huge map that is not there": [bytesOf("dfffffffff"), "codec/truncated", /4294967295 elements/],
  "huge bytes that are not there": [bytesOf("81a178c6ffffffff"), "codec/truncated", /4294967295/],
  "deep nesting": [bytesOf(`81a178${"91".repeat(5000)}c0`), "codec/depth", /more than 16 deep/],
  "deep maps": [bytesOf(`${"81a178".repeat(5000)}c0`), "codec/depth", /more than 16 deep/],
  "too many values": [
    Uint8Array.from([...bytesOf("81a178dd00020000"), ...new Uint8Array(0x20000)]),
    "codec/size",
    /more than 65536 values/,
  ],
  "an extension (a timestamp)": [bytesOf("81a178d6ff00000000"), "codec/type", /extension type/],
  "an extension (a regular expression to some)": [bytesOf("81a178c7037892a161"), "codec/type", /extension/],
  "the unused byte": [bytesOf("81a178c1"), "codec/type", /0xc1/],
  "text that is not UTF-8": [bytesOf("81a178a1ff"), "codec/utf8", /not UTF-8/],
  "a number as key": [bytesOf("810101"), "codec/key", /text or bytes/],
  "a key twice": [bytesOf("82a17801a17802"), "codec/key", /twice/],
  __proto__: [new Packr({ useRecords: false }).pack(new Map([["__proto__", 1]])), "codec/key", /__proto__/],
  "objects (pickled by msgpack-numpy)": [array({ dtype: "|O" }), "codec/dtype", /objects/],
  structures: [array({ dtype: [["a", "<f4"]] }), "codec/dtype", /structures/],
  void: [array({ dtype: "|V8" }), "codec/dtype", /objects and structures/],
  complex: [array({ dtype: "<c8" }), "codec/dtype", /expected .*<f4/],
  "big-endian": [array({ dtype: ">f4" }), "codec/dtype", /big-endian/],
  "a dtype of another kind": [array({ dtype: 4 }), "codec/dtype", /not text/],
  "a dtype that objects have": [array({ dtype: "constructor" }), "codec/dtype", /expected/],
  "Fortran order": [array({ fortran_order: true }), "codec/ndarray", /fortran_order/],
  "msgpack-numpy's own format": [arrayBytes({ nd: true, type: "<f4" }), "codec/ndarray", /"nd"/],
  "too few bytes": [array({ shape: [3] }), "codec/shape", /takes 12 bytes, found 8/],
  "too many bytes": [array({ shape: [] }), "codec/shape", /takes 4 bytes, found 8/],
  "an absurd shape": [array({ shape: [2 ** 31, 2 ** 31, 2 ** 31] }), "codec/shape", /at most 8 sizes/],
  "an absurd shape behind a zero": [
    array({ data: Buffer.alloc(0), shape: [0, 2 ** 40, 2 ** 40] }),
    "codec/shape",
    /8 sizes/,
  ],
  "a negative size": [array({ shape: [-1] }), "codec/shape", /found \[-1\]/],
  "a fraction": [array({ shape: [0.5] }), "codec/shape", /found \[0.5\]/],
  "too many axes": [array({ shape: Array(9).fill(1) }), "codec/shape", /at most 8/],
  "no shape": [
    arrayBytes({ __ndarray__: true, data: Buffer.alloc(4), dtype: "<f4" }),
    "codec/shape",
    /undefined/,
  ],
  "data that are no bytes": [array({ data: "12345678" }), "codec/ndarray", /not bytes/],
  "a mark that is not true": [array({ __ndarray__: 1 }), "codec/ndarray", /neither/],
  "both marks": [array({ __npgeneric__: true }), "codec/ndarray", /neither/],
  "a list of text": [bytesOf("81a17891a161"), "codec/list", /"x": expected numbers/],
  "a ragged list": [bytesOf("81a1789291019102".replace("9102", "920102")), "codec/list", /equal lengths/],
  "text of many elements": [
    array({ dtype: "<U1", data: Buffer.alloc(8), shape: [2] }),
    "codec/shape",
    /one text/,
  ],
};

test.each(Object.entries(REFUSED))("refused: %s", (_, [bytes, code, message]) => {
  const error = (() => {
    try {
      return decodeObservation(bytes);
    } catch (thrown) {
      return thrown;
    }
  })();
  expect(error).toBeInstanceOf(InsulaError);
  expect((error as InsulaError).code).toBe(code);
  expect((error as InsulaError).message).toMatch(message);
});

const leaf = (): fc.Arbitrary<Message> =>
  fc.oneof(
    fc.double({ noNaN: true }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
    fc.boolean(),
    fc.string({ unit: "binary", maxLength: 400 }),
    fc.float32Array({ noNaN: true, maxLength: 300 }).map((data) => ({ data, shape: [data.length] })),
    fc.uint8Array({ maxLength: 70_000, size: "large" }).map((data) => ({ data, shape: [data.length, 1] })),
    fc.bigInt64Array({ maxLength: 9 }).map((data) => ({ data, shape: [1, data.length] })),
  );
const message = (): fc.Arbitrary<Record<string, Message>> =>
  fc.dictionary(
    fc.string().filter((k) => k !== "__proto__"),
    fc.oneof(
      leaf(),
      fc.dictionary(
        fc.string().filter((k) => k !== "__proto__"),
        leaf(),
        { maxKeys: 3 },
      ),
    ),
    { maxKeys: 20 },
  );

test("what is written, another implementation reads, and so do we", () => {
  // "auto" is missing from its types: a number where that is exact.
  const int64AsType = "auto" as "bigint";
  const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: false, int64AsType });
  const plain = (value: unknown): unknown => {
    if (!(value instanceof Map)) return value;
    const entries = [...value].map(([k, v]) => [
      typeof k === "string" ? k : Buffer.from(k).toString(),
      plain(v),
    ]);
    const record = Object.fromEntries(entries) as Record<string, unknown>;
    if (record["__ndarray__"] !== true) return record;
    return { data: Buffer.from(record["data"] as Uint8Array).toString("hex"), shape: record["shape"] };
  };
  const seen = (value: Message): unknown => {
    if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
    if (typeof value !== "object" || value === null) return value;
    if ("data" in value && ArrayBuffer.isView(value.data)) {
      const { data, shape } = value as NdArray;
      return { data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("hex"), shape };
    }
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, seen(v)]));
  };
  fc.assert(
    fc.property(message(), (value) => {
      const bytes = encodeMessage(value);
      expect(plain(unpackr.unpack(bytes))).toEqual(seen(value));
      expect(seen(decodeObservation(bytes) as Message)).toEqual(seen(value));
    }),
    { numRuns: 200 },
  );
});

test("lists and maps of every width", () => {
  for (const n of [0, 15, 16, 65535, 65536]) {
    const out = createWriter();
    out.map(1);
    out.str("x");
    out.list(n);
    for (let i = 0; i < n; i++) out.int(1n);
    const read = () => decodeObservation(out.finish(), { maxValues: 70_000 });
    expect((read()["x"] as NdArray).shape).toEqual([n]);
  }
  const wide = Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [String(i), i]));
  expect(decodeObservation(encodeMessage(wide), { maxValues: 200_000 })).toEqual(wide);
});
