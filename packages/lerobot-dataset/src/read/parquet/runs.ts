/**
 * @file The encodings whose headers say how much follows: runs (RLE and bit-packed) and deltas. hyparquet believes
 * them; here they are held against the number of values that the page declares.
 */
import { type Cursor, readByte, readVarint } from "./thrift.js";

/** Writers pad the last bit-packed run to a multiple of 8 values; some to a whole block. */
const PADDING = 512;

/**
 * Check the runs of `count` values of `width` bits at the cursor, as the decoder will walk them.
 * @returns how many of the values equal `equalTo`.
 * @throws Error when a run is longer than the values there are, or the bytes end before the values do.
 */
export function checkRuns(cursor: Cursor, width: number, count: number, equalTo?: number): number {
  if (width > 32) throw new Error(`values of ${width} bits`);
  let equal = 0;
  for (let seen = 0; seen < count; ) {
    const head = readVarint(cursor);
    const packed = head % 2 === 1;
    const length = Math.floor(head / 2) * (packed ? 8 : 1);
    const left = count - seen;
    if (length === 0 || length > left + (packed ? PADDING : 0)) {
      throw new Error(`a run of ${length} values where ${left} are left`);
    }
    seen += length;
    const used = Math.min(length, left);
    const bytes = Math.ceil(packed ? (used * width) / 8 : width / 8);
    if (bytes > cursor.end - cursor.at) throw new Error(`a run of ${bytes} bytes is cut short`);
    if (equalTo !== undefined) {
      equal += packed
        ? countPacked(cursor, width, used, equalTo)
        : cursor.bytes[cursor.at] === equalTo
          ? used
          : 0;
    }
    // The last bit-packed run may end after its last value.
    cursor.at += packed ? Math.min((length / 8) * width, cursor.end - cursor.at) : bytes;
  }
  return equal;
}

/** Values of at most 8 bits: levels. */
function countPacked({ bytes, at }: Cursor, width: number, count: number, value: number): number {
  const mask = (1 << width) - 1;
  let equal = 0;
  for (let i = 0, bit = 0; i < count; i++, bit += width) {
    const byte = at + (bit >> 3);
    if ((((bytes[byte]! | ((bytes[byte + 1] ?? 0) << 8)) >> (bit & 7)) & mask) === value) equal++;
  }
  return equal;
}

/**
 * Check the blocks of a delta-encoded series of `count` values and move the cursor behind them.
 * @throws Error when its block sizes are none, or the bytes end before the values do.
 */
export function checkDeltas(cursor: Cursor, count: number): void {
  const block = readVarint(cursor);
  const parts = readVarint(cursor);
  readVarint(cursor);
  readVarint(cursor, 10);
  const perPart = block / parts;
  if (!(parts >= 1 && parts <= 4096 && perPart % 32 === 0 && perPart >= 32 && block <= 1 << 20)) {
    throw new Error(`delta blocks of ${block} values in ${parts} parts`);
  }
  for (let seen = 1; seen < count; ) {
    readVarint(cursor, 10);
    const widths = Array.from({ length: parts }, () => readByte(cursor));
    for (const width of widths) {
      if (seen >= count) break;
      if (width > 64) throw new Error(`deltas of ${width} bits`);
      const bytes = (perPart * width) / 8;
      if (bytes > cursor.end - cursor.at && seen + perPart < count) throw new Error("deltas are cut short");
      cursor.at = Math.min(cursor.at + bytes, cursor.end);
      seen += perPart;
    }
  }
}
