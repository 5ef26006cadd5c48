/**
 * @file A BPE as integer tables: which two ids merge, into what, with which rank; the id of every byte; the
 * bytes of every id. Made once when a tokenizer is loaded, read-only after.
 */
import { CHAR_BYTES } from "./byte-level.js";
import type { BpeModel } from "./tokenizer-json.js";

/** Rank of a pair that does not merge. */
export const NO_MERGE = 0x7fffffff;

/** Largest vocabulary whose pairs fit a 31-bit key. */
export const MAX_PAIR_VOCAB = 46_340;

export interface BpeTables {
  /** One more than the largest id. */
  readonly vocabSize: number;
  /** Byte → id of its one-byte token, −1 when the alphabet lacks it. */
  readonly byteIds: Int32Array;
  /** Id `i` decodes to `bytes[offsets[i] … offsets[i+1])`. */
  readonly bytes: Uint8Array;
  readonly offsets: Int32Array;
  /** 1 where an id has a token. */
  readonly known: Uint8Array;
  /** Rank → id of the merged token. */
  readonly mergedIds: Int32Array;
  /** Rank → what merges. */
  readonly lefts: Int32Array;
  readonly rights: Int32Array;
  /**
   * Open-addressing hash, two numbers per slot: pair `left · vocabSize + right` (−1 when free) and its rank. The slot
   * of a pair is `imul(pair, 0x9e3779b1) >>> pairShift`; `pairMask` wraps the position of the next one.
   */
  readonly pairs: Int32Array;
  readonly pairShift: number;
  readonly pairMask: number;
  /** Whether every merge ranks behind the merges that make its parts, as training yields. */
  readonly ordered: boolean;
}

/** Build the tables. The vocabulary must be below {@link MAX_PAIR_VOCAB}. */
export function makeBpeTables(model: BpeModel): BpeTables {
  let vocabSize = 0;
  for (const id of model.vocab.values()) vocabSize = Math.max(vocabSize, id + 1);

  const byteIds = new Int32Array(256).fill(-1);
  const known = new Uint8Array(vocabSize);
  const tokenBytes: Uint8Array[] = new Array(vocabSize);
  for (const [token, id] of model.vocab) {
    known[id] = 1;
    tokenBytes[id] = bytesOfToken(token);
    const byte = CHAR_BYTES.get(token);
    if (byte !== undefined) byteIds[byte] = id;
  }
  const offsets = new Int32Array(vocabSize + 1);
  for (let id = 0; id < vocabSize; id++) offsets[id + 1] = offsets[id]! + (tokenBytes[id]?.length ?? 0);
  const bytes = new Uint8Array(offsets[vocabSize]!);
  for (let id = 0; id < vocabSize; id++) if (tokenBytes[id]) bytes.set(tokenBytes[id]!, offsets[id]!);

  // At most a quarter full: nearly every look-up of a pair that does not merge ends at once.
  const bits = Math.max(4, Math.ceil(Math.log2(4 * model.merges.length + 1)));
  const pairs = new Int32Array(2 << bits).fill(-1);
  const pairShift = 32 - bits;
  const pairMask = pairs.length - 1;
  const mergedIds = new Int32Array(model.merges.length);
  const lefts = new Int32Array(model.merges.length);
  const rights = new Int32Array(model.merges.length);
  /** Id → the last rank that makes it. */
  const madeAt = new Int32Array(vocabSize).fill(-1);
  let ordered = true;
  for (const [rank, [a, b]] of model.merges.entries()) {
    const left = model.vocab.get(a)!;
    const right = model.vocab.get(b)!;
    const merged = model.vocab.get(a + b)!;
    mergedIds[rank] = merged;
    lefts[rank] = left;
    rights[rank] = right;
    madeAt[merged] = rank;
    const pair = left * vocabSize + right;
    let slot = (Math.imul(pair, 0x9e3779b1) >>> pairShift) << 1;
    while (pairs[slot] !== -1 && pairs[slot] !== pair) slot = (slot + 2) & pairMask;
    pairs[slot] = pair;
    pairs[slot + 1] = rank; // of a repeated merge the last counts, as in HF tokenizers
  }
  for (const [rank, [a, b]] of model.merges.entries()) {
    if (madeAt[model.vocab.get(a)!]! >= rank || madeAt[model.vocab.get(b)!]! >= rank) ordered = false;
  }
  return {
    vocabSize,
    byteIds,
    bytes,
    offsets,
    known,
    mergedIds,
    lefts,
    rights,
    pairs,
    pairShift,
    pairMask,
    ordered,
  };
}

/** The rank of merging `left` and `right`, {@link NO_MERGE} when they do not. */
export function pairRank(tables: BpeTables, left: number, right: number): number {
  const { pairs, pairMask } = tables;
  const pair = left * tables.vocabSize + right;
  let slot = (Math.imul(pair, 0x9e3779b1) >>> tables.pairShift) << 1;
  for (;;) {
    if (pairs[slot] === pair) return pairs[slot + 1]!;
    if (pairs[slot] === -1) return NO_MERGE;
    slot = (slot + 2) & pairMask;
  }
}

/** What HF's ByteLevel decoder makes of a token: its bytes if all its characters are visible bytes, else its UTF-8. */
function bytesOfToken(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const char of token) {
    const byte = CHAR_BYTES.get(char);
    if (byte === undefined) return new TextEncoder().encode(token);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
