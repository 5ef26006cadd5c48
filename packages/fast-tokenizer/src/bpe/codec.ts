/**
 * @file Byte-level BPE between code points and ids, on reused buffers. The strings that HF `tokenizers` would
 * see never exist: a coefficient is a code point, a code point one to four byte ids, and bytes merge.
 */
import { wordEnd, writeUtf8 } from "./byte-level.js";
import { makeMerger } from "./merge.js";
import { makeSearcher } from "./search.js";
import type { BpeTables } from "./tables.js";

/** Results of {@link SymbolCodec.decode} below zero. */
export const MALFORMED = -1;
/** `UNKNOWN_ID - i`: the id at position i has no token. */
export const UNKNOWN_ID = -2;
/** Decoders write this for bytes that are no UTF-8, so it never stands for itself. */
export const REPLACEMENT = 0xfffd;

export interface SymbolCodec {
  readonly vocabSize: number;
  /** Ids of the last `encode`, valid until the next one. */
  readonly ids: Int32Array;
  /**
   * Encode `symbols[0…count)`, which must be Unicode scalar values, into `ids`.
   * @param drop leave out bytes that the alphabet lacks, as HF `tokenizers` silently does.
   * @returns how many ids; or `-1 - i` when symbol i has such a byte and `drop` is off.
   */
  encode(symbols: Int32Array, count: number, drop: boolean): number;
  /**
   * Decode ids to code points, as many as `symbols` holds (the count goes on beyond).
   * @returns how many; {@link MALFORMED} for bytes that are no UTF-8 or say U+FFFD; `UNKNOWN_ID - i`.
   */
  decode(ids: ArrayLike<number>, symbols: Int32Array): number;
  /**
   * Decode as HF `tokenizers` does: ids without a token are skipped, bytes that are no UTF-8 become U+FFFD.
   * @returns code points; undefined for what makes it raise (ids that are not natural numbers).
   */
  decodeLossy(ids: ArrayLike<number>): Int32Array | undefined;
}

/** The integer codec. */
export function makeSymbolCodec(tables: BpeTables, splitWords = true): SymbolCodec {
  const search = makeSearcher(tables);
  const merge = makeMerger(tables);
  const byteIds = tables.byteIds;
  const units = shortSymbols(byteIds);
  let ids = new Int32Array(0);
  let bytes = new Uint8Array(0);

  /** Encode `bytes[0…length)` to `ids[at…]`. */
  function encodeWord(length: number, at: number): number {
    const end = search ? search(bytes, 0, length, ids, at) : -1;
    if (end >= 0) return end;
    for (let i = 0; i < length; i++) ids[at + i] = byteIds[bytes[i]!]!;
    return merge(ids, at, at + length);
  }

  return {
    vocabSize: tables.vocabSize,
    get ids(): Int32Array {
      return ids;
    },
    encode(symbols: Int32Array, count: number, drop: boolean): number {
      if (ids.length < 4 * count) {
        ids = new Int32Array(8 * count);
        bytes = new Uint8Array(8 * count);
      }
      let at = 0;
      for (let start = 0; start < count; ) {
        const end = splitWords ? wordEnd(symbols, start, count) : count;
        let length = 0;
        for (let i = start; i < end; i++) {
          const unit = symbols[i]! < units.length ? units[symbols[i]!]! : -1;
          if (unit >= 0) {
            bytes[length++] = unit & 0xff;
            if (unit > 0xff) bytes[length++] = unit >> 8;
            continue;
          }
          const from = length;
          length += writeUtf8(symbols[i]!, bytes, length);
          for (let b = from; b < length; b++) {
            if (byteIds[bytes[b]!]! >= 0) continue;
            if (!drop) return -1 - i;
            bytes.copyWithin(b, b + 1, length--);
            b--;
          }
        }
        at = encodeWord(length, at);
        start = end;
      }
      return at;
    },
    decode: (encoded, symbols) => decodeSymbols(tables, encoded, symbols),
    decodeLossy: (encoded) => decodeLossy(tables, encoded),
  };
}

/** Code points of one or two bytes → those bytes, the first one lowest; −1 when the alphabet lacks one of them. */
function shortSymbols(byteIds: Int32Array): Int32Array {
  const units = new Int32Array(0x800).fill(-1);
  const bytes = new Uint8Array(2);
  for (let c = 0; c < units.length; c++) {
    const length = writeUtf8(c, bytes, 0);
    if (byteIds[bytes[0]!]! < 0 || (length === 2 && byteIds[bytes[1]!]! < 0)) continue;
    units[c] = length === 2 ? bytes[0]! | (bytes[1]! << 8) : bytes[0]!;
  }
  return units;
}

/** {@link SymbolCodec.decode}: the bytes of the ids, read as strict UTF-8 across token borders. */
export function decodeSymbols(tables: BpeTables, ids: ArrayLike<number>, symbols: Int32Array): number {
  const { bytes, offsets, known, vocabSize } = tables;
  const capacity = symbols.length;
  let count = 0;
  let codePoint = 0;
  let missing = 0; // continuation bytes still to come
  let smallest = 0; // below this the form would be overlong
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (!(id >= 0 && id < vocabSize && known[id] === 1)) return UNKNOWN_ID - i;
    for (let at = offsets[id]!, end = offsets[id + 1]!; at < end; at++) {
      const byte = bytes[at]!;
      if (missing > 0) {
        if ((byte & 0xc0) !== 0x80) return MALFORMED;
        codePoint = (codePoint << 6) | (byte & 63);
        if (--missing > 0) continue;
        if (codePoint < smallest || codePoint > 0x10ffff || (codePoint & 0x1ff800) === 0xd800)
          return MALFORMED;
        if (codePoint === REPLACEMENT) return MALFORMED;
      } else if (byte < 0x80) {
        codePoint = byte;
      } else if (byte >= 0xc2 && byte <= 0xf4) {
        missing = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
        smallest = missing === 1 ? 0x80 : missing === 2 ? 0x800 : 0x10000;
        codePoint = byte & (0x3f >> missing);
        continue;
      } else {
        return MALFORMED;
      }
      if (count < capacity) symbols[count] = codePoint;
      count++;
    }
  }
  return missing > 0 ? MALFORMED : count;
}

/** {@link SymbolCodec.decodeLossy}. */
export function decodeLossy(tables: BpeTables, ids: ArrayLike<number>): Int32Array | undefined {
  const parts: Uint8Array[] = [];
  let length = 0;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (!Number.isInteger(id) || id < 0) return undefined;
    if (tables.known[id] !== 1) continue;
    const part = tables.bytes.subarray(tables.offsets[id]!, tables.offsets[id + 1]!);
    parts.push(part);
    length += part.length;
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  return Int32Array.from(text, (char) => char.codePointAt(0)!);
}
