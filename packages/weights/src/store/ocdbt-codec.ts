/**
 * @file The envelope and the primitive values of OCDBT files (tensorstore, `kvstore/ocdbt`, "Storage format"):
 * magic, length, version, compression, body, CRC-32C; integers as varints.
 */
import { InsulaError } from "@insula/model-types";
import { crc32c } from "./crc.js";
import { readZstd } from "./zstd.js";

/** Reads one value after the other. */
export interface Cursor {
  /** Name of the file, for messages. */
  readonly what: string;
  readonly bytes: Uint8Array;
  at: number;
}

export const MANIFEST_MAGIC = 0x0cdb3a2a;
export const NODE_MAGIC = 0x0cdb20de;
/** A node or manifest larger than this, compressed or not, is refused; the format's own default is 100 MB. */
export const MAX_NODE: number = 1 << 27;

export const broken = (what: string, problem: string): InsulaError =>
  new InsulaError("weights/ocdbt", `${what}: ${problem}`);

/** Check the envelope of `bytes` and return a cursor over the body, decompressed. */
export async function openEnvelope(bytes: Uint8Array, magic: number, what: string): Promise<Cursor> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 18) throw broken(what, `${bytes.length} bytes are too few`);
  if (view.getUint32(0, false) !== magic) {
    throw broken(what, `not an OCDBT ${magic === NODE_MAGIC ? "node" : "manifest"}`);
  }
  const length = Number(view.getBigUint64(4, true));
  if (length !== bytes.length)
    throw broken(what, `length ${length} is stated, ${bytes.length} bytes are there`);
  const end = bytes.length - 4;
  if (view.getUint32(end, true) !== crc32c(bytes.subarray(0, end))) throw broken(what, "wrong checksum");
  const cursor: Cursor = { what, bytes: bytes.subarray(0, end), at: 12 };
  const version = varint(cursor);
  if (version !== 0) throw broken(what, `version ${version}, expected 0`);
  const compression = varint(cursor);
  const body = cursor.bytes.subarray(cursor.at);
  if (compression === 0) return { what, bytes: body, at: 0 };
  if (compression === 1) return { what, bytes: await readZstd({ bytes: body }, MAX_NODE, what), at: 0 };
  throw broken(what, `compression ${compression}, expected 0 (none) or 1 (zstd)`);
}

export function u8(cursor: Cursor): number {
  const byte = cursor.bytes[cursor.at++];
  if (byte === undefined) throw broken(cursor.what, "cut short");
  return byte;
}

/** A varint up to 2^53: offsets go beyond 4 GB. */
export function varint(cursor: Cursor): number {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = u8(cursor);
    value += (byte & 127) * scale;
    if (byte < 128) break;
    if (scale > 2 ** 49) throw broken(cursor.what, "number too large");
  }
  if (!Number.isSafeInteger(value)) throw broken(cursor.what, "number too large");
  return value;
}

/** The number of entries of what follows: each needs at least a byte. */
export function count(cursor: Cursor): number {
  const n = varint(cursor);
  if (n > cursor.bytes.length) throw broken(cursor.what, `${n} entries in ${cursor.bytes.length} bytes`);
  return n;
}

/** `n` varints. */
export function varints(cursor: Cursor, n: number): number[] {
  return Array.from({ length: n }, () => varint(cursor));
}

/** The next `length` bytes. */
export function take(cursor: Cursor, length: number): Uint8Array {
  const end = cursor.at + length;
  if (end > cursor.bytes.length) throw broken(cursor.what, "cut short");
  const bytes = cursor.bytes.subarray(cursor.at, end);
  cursor.at = end;
  return bytes;
}

/** Strings each of which shares `prefixes[i - 1]` bytes with the one before it. */
export function prefixed(
  cursor: Cursor,
  prefixes: readonly number[],
  suffixes: readonly number[],
): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (const [i, suffix] of suffixes.entries()) {
    const before = out[i - 1] ?? new Uint8Array(0);
    const prefix = i === 0 ? 0 : prefixes[i - 1]!;
    if (prefix > before.length) throw broken(cursor.what, `entry ${i}: prefix longer than its neighbour`);
    const own = take(cursor, suffix);
    const whole = new Uint8Array(prefix + own.length);
    whole.set(before.subarray(0, prefix));
    whole.set(own, prefix);
    out.push(whole);
  }
  return out;
}
