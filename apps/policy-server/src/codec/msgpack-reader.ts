/**
 * @file MessagePack, reading. Strict and bounded, because what arrives is not to be trusted: a length is believed
 * only when that many bytes are there, nothing is allocated ahead of its content, extension types (which in other
 * readers make dates, errors or regular expressions) are refused. Map keys may be bytes, as msgpack-numpy's are;
 * readers that make objects of maps cannot tell those from text.
 */
import { type CodecLimits, codecError, DEFAULT_LIMITS } from "./limits.js";

/** A decoded value. Bytes are views into the message. Integers beyond ±2⁵³ are bigint. */
export type Packed = null | boolean | number | bigint | string | Uint8Array | Packed[] | PackedMap;

/** A map in the order of the message. */
export interface PackedMap {
  readonly entries: readonly (readonly [key: string | Uint8Array, value: Packed])[];
}

interface Cursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  at: number;
  values: number;
  readonly limits: CodecLimits;
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Decode one value that fills `message`.
 * @throws InsulaError `codec/truncated`, `codec/trailing`, `codec/depth`, `codec/size`, `codec/type` (an extension or
 *   the unused byte 0xc1), `codec/utf8`, `codec/key`
 */
export function unpack(message: Uint8Array, limits: Partial<CodecLimits> = {}): Packed {
  // A Buffer's slices and copies are not those of its base class.
  const bytes = new Uint8Array(message.buffer, message.byteOffset, message.byteLength);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const cursor = { bytes, view, at: 0, values: 0, limits: { ...DEFAULT_LIMITS, ...limits } };
  const value = read(cursor, 0);
  if (cursor.at < bytes.length) {
    throw codecError("trailing", `${bytes.length - cursor.at} bytes follow the value`);
  }
  return value;
}

function read(c: Cursor, depth: number): Packed {
  if (++c.values > c.limits.maxValues) throw codecError("size", `more than ${c.limits.maxValues} values`);
  const tag = c.view.getUint8(take(c, 1));
  if (tag < 0x80) return tag;
  if (tag < 0x90) return map(c, tag & 0x0f, depth);
  if (tag < 0xa0) return list(c, tag & 0x0f, depth);
  if (tag < 0xc0) return text(c, tag & 0x1f);
  if (tag >= 0xe0) return tag - 0x100;
  switch (tag) {
    case 0xc0:
      return null;
    case 0xc2:
      return false;
    case 0xc3:
      return true;
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return bin(c, uint(c, tag - 0xc4));
    case 0xca:
      return c.view.getFloat32(take(c, 4));
    case 0xcb:
      return c.view.getFloat64(take(c, 8));
    case 0xcc:
    case 0xcd:
    case 0xce:
      return uint(c, tag - 0xcc);
    case 0xcf:
      return narrow(c.view.getBigUint64(take(c, 8)));
    case 0xd0:
      return c.view.getInt8(take(c, 1));
    case 0xd1:
      return c.view.getInt16(take(c, 2));
    case 0xd2:
      return c.view.getInt32(take(c, 4));
    case 0xd3:
      return narrow(c.view.getBigInt64(take(c, 8)));
    case 0xd9:
    case 0xda:
    case 0xdb:
      return text(c, uint(c, tag - 0xd9));
    case 0xdc:
    case 0xdd:
      return list(c, uint(c, tag - 0xdb), depth);
    case 0xde:
    case 0xdf:
      return map(c, uint(c, tag - 0xdd), depth);
  }
  const what = tag === 0xc1 ? "the unused byte 0xc1" : `an extension type (0x${tag.toString(16)})`;
  throw codecError("type", `expected plain MessagePack, found ${what} at byte ${c.at - 1}`);
}

/** Move over `n` bytes that must be there; returns where they begin. */
function take(c: Cursor, n: number): number {
  const { at } = c;
  if (n > c.bytes.length - at) {
    throw codecError("truncated", `byte ${at}: expected ${n} more, found ${c.bytes.length - at}`);
  }
  c.at = at + n;
  return at;
}

/** An unsigned integer of 2^`power` bytes, at most 4. */
function uint(c: Cursor, power: number): number {
  if (power === 0) return c.view.getUint8(take(c, 1));
  return power === 1 ? c.view.getUint16(take(c, 2)) : c.view.getUint32(take(c, 4));
}

const narrow = (x: bigint): number | bigint => {
  const n = Number(x);
  return Number.isSafeInteger(n) ? n : x;
};

function bin(c: Cursor, length: number): Uint8Array {
  const at = take(c, length);
  return c.bytes.subarray(at, at + length);
}

function text(c: Cursor, length: number): string {
  const { at } = c;
  try {
    return UTF8.decode(bin(c, length));
  } catch (cause) {
    if (cause instanceof TypeError) throw codecError("utf8", `the text at byte ${at} is not UTF-8`, cause);
    throw cause;
  }
}

/** @param each bytes that an element takes at least. */
function open(c: Cursor, count: number, each: number, depth: number): void {
  if (depth >= c.limits.maxDepth) {
    throw codecError("depth", `maps and arrays more than ${c.limits.maxDepth} deep`);
  }
  const left = c.bytes.length - c.at;
  if (count * each > left) {
    throw codecError("truncated", `byte ${c.at}: ${count} elements announced, ${left} bytes left`);
  }
}

function list(c: Cursor, count: number, depth: number): Packed[] {
  open(c, count, 1, depth);
  const out: Packed[] = [];
  for (let i = 0; i < count; i++) out.push(read(c, depth + 1));
  return out;
}

function map(c: Cursor, count: number, depth: number): PackedMap {
  open(c, count, 2, depth);
  const entries: [string | Uint8Array, Packed][] = [];
  for (let i = 0; i < count; i++) {
    const key = read(c, depth + 1);
    if (typeof key !== "string" && !(key instanceof Uint8Array)) {
      throw codecError("key", `expected map keys of text or bytes, found ${typeof key}`);
    }
    entries.push([key, read(c, depth + 1)]);
  }
  return { entries };
}
