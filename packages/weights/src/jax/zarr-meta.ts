/** @file The metadata of a zarr array: `.zarray` (version 2) or `zarr.json` (version 3), checked. */
import { InsulaError, sizeOf } from "@insula/model-types";
import { type FloatDtype, floatDtype } from "../source.js";

/** Chunks inside one stored object, found through an index at its end. */
export interface Shard {
  /** Shape of the stored object; a multiple of the chunk's. */
  readonly shape: readonly number[];
  /** Whether a CRC-32C follows the index. */
  readonly checksum: boolean;
}

/** What is needed to read an array. */
export interface ArrayMeta {
  readonly shape: readonly number[];
  /** Shape of the smallest unit that is compressed on its own. */
  readonly chunk: readonly number[];
  readonly dtype: FloatDtype;
  readonly zstd: boolean;
  readonly shard?: Shard;
  /** Key of a chunk (of a shard, where there are shards) under the array's own. */
  chunkKey(coordinate: readonly number[]): string;
}

interface Codec {
  name?: string;
  configuration?: Record<string, unknown>;
}

const DTYPES: Readonly<Record<string, FloatDtype>> = {
  "<f4": "F32",
  "<f2": "F16",
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
};

/** @returns undefined for a group. @throws InsulaError `weights/zarr` naming what cannot be read. */
export function parseMeta(bytes: Uint8Array, version: 2 | 3, what: string): ArrayMeta | undefined {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new InsulaError("weights/zarr", `${what}: metadata is not JSON`, { cause });
  }
  if (typeof json !== "object" || json === null) throw refuse(what, "metadata", "an object", json);
  const meta = json as Record<string, unknown>;
  if (version === 3 && meta["node_type"] === "group") return undefined;
  if (meta["zarr_format"] !== version)
    throw refuse(what, "zarr_format", String(version), meta["zarr_format"]);
  const shape = ints(meta["shape"], 0, what, "shape");
  const parsed = version === 2 ? version2(meta, shape, what) : version3(meta, shape, what);
  if (!Number.isSafeInteger(sizeOf(shape) * 4)) throw refuse(what, "shape", "fewer elements", shape);
  return parsed;
}

function version2(meta: Record<string, unknown>, shape: number[], what: string): ArrayMeta {
  const compressor = meta["compressor"] as { id?: string } | null | undefined;
  if (compressor && compressor.id !== "zstd") throw refuse(what, "compressor", "zstd or null", compressor.id);
  if (meta["order"] !== "C") throw refuse(what, "order", "C", meta["order"]);
  if (Array.isArray(meta["filters"]) && meta["filters"].length > 0)
    throw refuse(what, "filters", "none", meta["filters"]);
  fill(meta["fill_value"], what);
  const separator = meta["dimension_separator"] ?? ".";
  if (separator !== "." && separator !== "/") throw refuse(what, "dimension_separator", ". or /", separator);
  return {
    shape,
    chunk: chunkShape(meta["chunks"], shape, what),
    dtype: dtypeOf(meta["dtype"], what),
    zstd: Boolean(compressor),
    chunkKey: (coordinate) => (coordinate.length === 0 ? "0" : coordinate.join(separator)),
  };
}

function version3(meta: Record<string, unknown>, shape: number[], what: string): ArrayMeta {
  const grid = meta["chunk_grid"] as Codec | undefined;
  if (grid?.name !== "regular") throw refuse(what, "chunk_grid", "regular", grid?.name);
  const outer = chunkShape(grid.configuration?.["chunk_shape"], shape, what);
  const encoding = meta["chunk_key_encoding"] as Codec | undefined;
  if (encoding?.name !== "default") throw refuse(what, "chunk_key_encoding", "default", encoding?.name);
  const separator = String(encoding.configuration?.["separator"] ?? "/");
  fill(meta["fill_value"], what);
  const common = {
    shape,
    dtype: dtypeOf(meta["data_type"], what),
    chunkKey: (coordinate: readonly number[]) => ["c", ...coordinate].join(separator),
  };
  const codecs = codecList(meta["codecs"], what);
  const sharding = codecs.find((c) => c.name === "sharding_indexed");
  if (!sharding) return { ...common, chunk: outer, zstd: usesZstd(codecs, what) };
  if (codecs.length !== 1)
    throw refuse(
      what,
      "codecs",
      "sharding_indexed alone",
      codecs.map((c) => c.name),
    );
  const { chunk_shape, codecs: innerCodecs, index_codecs, index_location } = sharding.configuration ?? {};
  const chunk = chunkShape(chunk_shape, shape, what);
  if (!chunk.every((d, i) => outer[i]! % d === 0))
    throw refuse(what, "inner chunk_shape", `a divisor of [${outer.join(", ")}]`, chunk);
  if ((index_location ?? "end") !== "end") throw refuse(what, "index_location", "end", index_location);
  const index = codecList(index_codecs, what).map((c) => c.name);
  if (index[0] !== "bytes" || (index.length > 1 && (index[1] !== "crc32c" || index.length > 2)))
    throw refuse(what, "index_codecs", "bytes, crc32c", index);
  return {
    ...common,
    chunk,
    zstd: usesZstd(codecList(innerCodecs, what), what),
    shard: { shape: outer, checksum: index.length === 2 },
  };
}

/** Codecs of one chunk: little-endian bytes, then zstd or nothing. */
function usesZstd(codecs: readonly Codec[], what: string): boolean {
  const names = codecs.map((c) => c.name);
  const endian = codecs[0]?.configuration?.["endian"] ?? "little";
  if (names[0] !== "bytes" || endian !== "little" || names.length > 2 || (names[1] ?? "zstd") !== "zstd")
    throw refuse(what, "codecs", "bytes (little-endian), then zstd or nothing", codecs);
  return names.length === 2;
}

function codecList(value: unknown, what: string): Codec[] {
  if (!Array.isArray(value) || !value.every((c) => typeof c === "object" && c !== null))
    throw refuse(what, "codecs", "a list", value);
  return value as Codec[];
}

function dtypeOf(value: unknown, what: string): FloatDtype {
  const dtype = typeof value === "string" && Object.hasOwn(DTYPES, value) ? DTYPES[value] : undefined;
  return dtype ?? floatDtype(String(value), what, "dtype");
}

/** Chunks that are not there hold it; orbax has no other than zero. */
function fill(value: unknown, what: string): void {
  if (value !== null && value !== undefined && value !== 0)
    throw refuse(what, "fill_value", "0 or null", value);
}

function chunkShape(value: unknown, shape: readonly number[], what: string): number[] {
  const chunk = ints(value, 1, what, "chunk shape");
  if (chunk.length !== shape.length) throw refuse(what, "chunk shape", `${shape.length} axes`, chunk);
  return chunk;
}

function ints(value: unknown, least: number, what: string, field: string): number[] {
  if (
    !Array.isArray(value) ||
    value.length > 32 ||
    !value.every((d) => Number.isSafeInteger(d) && d >= least)
  )
    throw refuse(what, field, `integers of at least ${least}`, value);
  return value as number[];
}

const refuse = (what: string, field: string, expected: string, found: unknown) =>
  new InsulaError("weights/zarr", `${what}: ${field}: expected ${expected}, found ${JSON.stringify(found)}`);
