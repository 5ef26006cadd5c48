/**
 * @file Thrift's compact protocol, as far as parquet uses it, read with bounds: no list longer than the bytes that
 * are left, no struct nested deeper than any parquet file's. What passes here is safe to give to hyparquet.
 */

/** A place in bytes, moved by what is read. */
export interface Cursor {
  readonly bytes: Uint8Array;
  at: number;
  /** Reading stops here. */
  readonly end: number;
}

/** Fields by number; text and bytes are skipped. */
export interface ThriftStruct {
  readonly [field: number]: number | boolean | ThriftStruct | readonly unknown[] | undefined;
}

/** Parquet's own structs are 8 deep. */
const MAX_DEPTH = 24;

const STOP = 0;
const TRUE = 1;
const FALSE = 2;
const BYTE = 3;
const I16 = 4;
const I32 = 5;
const I64 = 6;
const DOUBLE = 7;
const BINARY = 8;
const LIST = 9;
const STRUCT = 12;

/** An unsigned variable-length integer of at most `bytes` bytes. */
export function readVarint(cursor: Cursor, bytes = 5): number {
  let value = 0;
  for (let i = 0; i < bytes; i++) {
    const byte = readByte(cursor);
    value += (byte & 127) * 2 ** (7 * i);
    if (byte < 128) return value;
  }
  throw new Error(`an integer of more than ${bytes} bytes at byte ${cursor.at}`);
}

/** One byte. */
export function readByte(cursor: Cursor): number {
  if (cursor.at >= cursor.end) throw new Error(`cut short at byte ${cursor.at}`);
  return cursor.bytes[cursor.at++]!;
}

/** The struct at the cursor. @throws Error where it is cut short, too deep, or has a list that cannot be there. */
export function readStruct(cursor: Cursor, depth = 0): ThriftStruct {
  if (depth > MAX_DEPTH) throw new Error(`structs nested deeper than ${MAX_DEPTH}`);
  const fields: Record<number, ThriftStruct[number]> = {};
  let id = 0;
  for (;;) {
    const head = readByte(cursor);
    const type = head & 15;
    if (type === STOP) return fields;
    id = head >> 4 ? id + (head >> 4) : zigzag(readVarint(cursor));
    fields[id] = readValue(cursor, type, depth);
  }
}

function readValue(cursor: Cursor, type: number, depth: number): ThriftStruct[number] {
  switch (type) {
    case TRUE:
    case FALSE:
      return type === TRUE;
    case BYTE:
      return readByte(cursor);
    case I16:
    case I32:
      return zigzag(readVarint(cursor));
    case I64:
      return zigzag(readVarint(cursor, 10));
    case DOUBLE:
      return skip(cursor, 8);
    case BINARY:
      return skip(cursor, readVarint(cursor));
    case LIST:
      return readList(cursor, depth + 1);
    case STRUCT:
      return readStruct(cursor, depth + 1);
    default:
      throw new Error(`an unknown field type ${type} at byte ${cursor.at}`);
  }
}

function readList(cursor: Cursor, depth: number): readonly unknown[] {
  if (depth > MAX_DEPTH) throw new Error(`lists nested deeper than ${MAX_DEPTH}`);
  const head = readByte(cursor);
  const length = head >> 4 === 15 ? readVarint(cursor) : head >> 4;
  if (length > cursor.end - cursor.at) {
    throw new Error(`a list of ${length} entries in ${cursor.end - cursor.at} bytes`);
  }
  const type = head & 15;
  const item = type === TRUE || type === FALSE ? BYTE : type; // In a list, a boolean takes a byte.
  return Array.from({ length }, () => readValue(cursor, item, depth));
}

function skip(cursor: Cursor, length: number): undefined {
  if (length > cursor.end - cursor.at) {
    throw new Error(`${length} bytes of text in ${cursor.end - cursor.at} bytes`);
  }
  cursor.at += length;
  return undefined;
}

/** Exact up to 2^53: beyond it, a number is out of every range that is checked. */
function zigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}
