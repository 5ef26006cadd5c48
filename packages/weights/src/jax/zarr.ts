/**
 * @file zarr arrays, versions 2 and 3, as far as orbax writes them: C order, little-endian floats, zstd or
 * nothing, version 3 in shards. An array is streamed in row-major order: the chunks that share rows are
 * decompressed side by side, a run of elements from each in turn, so that no chunk has to fit memory.
 */
import { InsulaError, sizeOf } from "@insula/model-types";
import { dtypeBytes } from "../source.js";
import { type ByteRange, rangeLength, readRange, streamRange } from "../store/byte-range.js";
import type { KeyValueStore } from "../store/key-value.js";
import { streamZstd } from "../store/zstd.js";
import { type ArrayMeta, parseMeta } from "./zarr-meta.js";
import { shardChunk } from "./zarr-shard.js";

/** An array of a store, its metadata read. */
export interface ZarrArray extends ArrayMeta {
  readonly name: string;
}

/** Metadata is a few hundred bytes. */
const MAX_META = 1 << 20;
/** Runs are gathered to pieces of about this many bytes. */
const PIECE = 1 << 22;

/** Every array of `store` by its path, parts joined as the store has them. */
export async function listArrays(store: KeyValueStore, source: string): Promise<Map<string, ZarrArray>> {
  const arrays = new Map<string, ZarrArray>();
  for (const [key, range] of store) {
    const match = /^(.*)\/(\.zarray|zarr\.json)$/.exec(key);
    if (!match) continue;
    const name = match[1]!;
    const what = `${source}: ${name}`;
    const meta = parseMeta(await readRange(range, MAX_META, what), match[2] === ".zarray" ? 2 : 3, what);
    if (meta) arrays.set(name, { ...meta, name });
  }
  return arrays;
}

/**
 * The bytes of an array in row-major order.
 * @throws InsulaError `weights/zarr`, `weights/zstd`, `weights/truncated` naming the array.
 */
export async function* streamArray(
  store: KeyValueStore,
  array: ZarrArray,
  source: string,
): AsyncGenerator<Uint8Array> {
  const { shape, chunk, dtype } = array;
  if (sizeOf(shape) === 0) return;
  const what = `${source}: ${array.name}`;
  // Axes behind the last one that is cut are whole in every chunk: a run takes all of them.
  const cut = lastCutAxis(shape, chunk);
  const outer = shape.slice(0, Math.max(0, cut));
  const inner = sizeOf(shape.slice(cut + 1)) * dtypeBytes(dtype);
  const perRow = cut < 0 ? 1 : Math.ceil(shape[cut]! / chunk[cut]!);
  const tail = shape.slice(cut + 1).map(() => 0);
  const open = new Map<string, ByteReader>();
  const gather = makeGather();
  try {
    for (let row = 0; row < sizeOf(outer); row++) {
      const index = unravel(row, outer);
      const band = index.map((x, i) => Math.floor(x / chunk[i]!));
      let inChunk = 0;
      for (const [i, x] of index.entries()) inChunk = inChunk * chunk[i]! + (x % chunk[i]!);
      const last = index.every((x, i) => x + 1 === shape[i] || (x + 1) % chunk[i]! === 0);
      for (let c = 0; c < perRow; c++) {
        const coordinate = cut < 0 ? tail : [...band, c, ...tail];
        const key = coordinate.join(".");
        let reader = open.get(key);
        if (!reader) {
          reader = byteReader(openChunk(store, array, coordinate, what), what);
          open.set(key, reader);
        }
        const run = cut < 0 ? inner : chunk[cut]! * inner;
        let wanted = cut < 0 ? inner : Math.min(chunk[cut]!, shape[cut]! - c * chunk[cut]!) * inner;
        await reader.seek(inChunk * run); // chunks at the edge are stored whole: what lies beyond is passed over
        while (wanted > 0) {
          const taken = reader.take(wanted);
          const part = taken instanceof Promise ? await taken : taken;
          wanted -= part.length;
          const piece = gather.add(part);
          if (piece) yield piece;
        }
        if (last) {
          await reader.finish();
          open.delete(key);
        }
      }
    }
  } finally {
    for (const reader of open.values()) await reader.close();
  }
  const rest = gather.rest();
  if (rest.length > 0) yield rest;
}

/** The last axis along which a chunk is not the whole array; -1 for a single chunk. */
function lastCutAxis(shape: readonly number[], chunk: readonly number[]): number {
  for (let i = shape.length - 1; i >= 0; i--) if (chunk[i] !== shape[i]) return i;
  return -1;
}

function unravel(flat: number, shape: readonly number[]): number[] {
  const out = new Array<number>(shape.length);
  for (let i = shape.length - 1; i >= 0; i--) {
    out[i] = flat % shape[i]!;
    flat = Math.floor(flat / shape[i]!);
  }
  return out;
}

/** The decompressed bytes of one chunk; a chunk that is not there is the fill value, zero. */
async function* openChunk(
  store: KeyValueStore,
  array: ZarrArray,
  coordinate: readonly number[],
  what: string,
): AsyncGenerator<Uint8Array> {
  const length = sizeOf(array.chunk) * dtypeBytes(array.dtype);
  const at = `${what}: chunk ${coordinate.join(".")}`;
  const range: ByteRange | undefined = array.shard
    ? await shardChunk(store, array, array.shard, coordinate, at)
    : store.get(`${array.name}/${array.chunkKey(coordinate)}`);
  if (!range) {
    for (let done = 0; done < length; done += PIECE) yield new Uint8Array(Math.min(PIECE, length - done));
  } else if (array.zstd) yield* streamZstd(range, length, at);
  else {
    if (rangeLength(range) !== length)
      throw new InsulaError("weights/zarr", `${at}: ${rangeLength(range)} bytes, expected ${length}`);
    yield* streamRange(range);
  }
}

/** Reads a stream of bytes by position, forwards only. */
interface ByteReader {
  /** Move forward to `position`. */
  seek(position: number): Promise<void>;
  /** At least one and at most `length` of the next bytes; at once where they are here. */
  take(length: number): Uint8Array | Promise<Uint8Array>;
  /** Read to the end, so that what is checked there is checked. */
  finish(): Promise<void>;
  close(): Promise<void>;
}

function byteReader(stream: AsyncGenerator<Uint8Array>, what: string): ByteReader {
  let here = new Uint8Array(0);
  let position = 0;
  const advance = (length: number): Uint8Array => {
    const part = here.subarray(0, length);
    here = here.subarray(part.length);
    position += part.length;
    return part;
  };
  const fill = async (): Promise<boolean> => {
    const { value, done } = await stream.next();
    if (!done) here = value as Uint8Array<ArrayBuffer>;
    return !done;
  };
  const fillOrFail = async (): Promise<void> => {
    if (!(await fill()))
      throw new InsulaError("weights/truncated", `${what}: ends at byte ${position} of a chunk`);
  };
  const takeLater = async (length: number): Promise<Uint8Array> => {
    while (here.length === 0) await fillOrFail();
    return advance(length);
  };
  return {
    async seek(target) {
      while (position < target) {
        if (here.length === 0) await fillOrFail();
        advance(target - position);
      }
    },
    take: (length) => (here.length > 0 ? advance(length) : takeLater(length)),
    async finish() {
      while (await fill());
    },
    async close() {
      await stream.return(undefined);
    },
  };
}

/** Joins small runs to pieces of a few MB. */
function makeGather(): { add(part: Uint8Array): Uint8Array | undefined; rest(): Uint8Array } {
  let buffer = new Uint8Array(PIECE);
  let used = 0;
  const rest = () => {
    const out = buffer.subarray(0, used);
    buffer = new Uint8Array(used === 0 ? 0 : PIECE);
    used = 0;
    return out;
  };
  return {
    rest,
    add(part) {
      let full: Uint8Array | undefined;
      if (used + part.length > buffer.length) {
        full = rest();
        if (part.length > buffer.length) buffer = new Uint8Array(Math.max(PIECE, part.length));
      }
      buffer.set(part, used);
      used += part.length;
      return full && full.length > 0 ? full : undefined;
    },
  };
}
