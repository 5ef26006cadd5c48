/**
 * @file What training knows about pairs of ids: how often each occurs, and where new occurrences of it have appeared
 * since it was last queued. Pairs are numbered as they are met; everything lies in growing typed arrays.
 */
import { grown } from "./words.js";

export interface PairCounts {
  /** Pair → its two ids. */
  lefts: Int32Array;
  rights: Int32Array;
  /** Pair → occurrences, weighted by the counts of their words. */
  counts: Float64Array;
  /** Pairs with new occurrences, in the order of their first one. */
  touched: Int32Array;
  touchedSize: number;
  /** Pair → its first new occurrence, −1 when there is none. */
  heads: Int32Array;
  /**
   * Two numbers for each occurrence: the position of the left id; and where the next occurrence of the same pair and round
   * lies in this array, −1 at the end.
   */
  occurrences: Int32Array;
  /** The number of a pair; a new one has count 0. */
  indexOf(left: number, right: number): number;
  /** Note an occurrence of a pair. Positions of one pair come in ascending order. */
  note(pair: number, position: number): void;
}

/**
 * Nothing known yet.
 * @param expected occurrences to make room for.
 */
export function makePairCounts(expected: number): PairCounts {
  const tables: PairCounts = {
    lefts: new Int32Array(1 << 12),
    rights: new Int32Array(1 << 12),
    counts: new Float64Array(1 << 12),
    touched: new Int32Array(1 << 12),
    touchedSize: 0,
    heads: new Int32Array(1 << 12).fill(-1),
    occurrences: new Int32Array(2 * expected + 2),
    indexOf,
    note,
  };
  let tails = new Int32Array(1 << 12);
  let size = 0;
  let noted = 0;
  /** Open addressing, at most half full, four numbers per slot to a cache line: left, right, 1 + pair (0 when free). */
  let slots = new Int32Array(4 << 13);
  let shift = 32 - 13;

  function indexOf(left: number, right: number): number {
    const mask = slots.length - 1;
    let slot = (Math.imul(Math.imul(left, 0x9e3779b1) ^ right, 0x85ebca6b) >>> shift) << 2;
    for (;;) {
      const found = slots[slot + 2]!;
      if (found === 0) return insert(slot, left, right);
      if (slots[slot] === left && slots[slot + 1] === right) return found - 1;
      slot = (slot + 4) & mask;
    }
  }

  function insert(slot: number, left: number, right: number): number {
    const pair = size++;
    slots[slot] = left;
    slots[slot + 1] = right;
    slots[slot + 2] = pair + 1;
    tables.lefts[pair] = left;
    tables.rights[pair] = right;
    if (size === tables.lefts.length) grow();
    return pair;
  }

  function grow(): void {
    const length = 2 * size;
    for (const key of ["lefts", "rights", "touched"] as const) tables[key] = grown(tables[key], length);
    tables.counts = grown(tables.counts, length);
    tables.heads = grown(tables.heads, length).fill(-1, size);
    tails = grown(tails, length);
    slots = new Int32Array(8 * length);
    shift--;
    const { lefts, rights } = tables;
    const known = size;
    // Every pair goes in again, by its old number.
    for (size = 0; size < known; ) indexOf(lefts[size]!, rights[size]!);
  }

  function note(pair: number, position: number): void {
    if (noted === tables.occurrences.length) tables.occurrences = grown(tables.occurrences, 2 * noted);
    const { occurrences, heads } = tables;
    occurrences[noted] = position;
    occurrences[noted + 1] = -1;
    if (heads[pair]! < 0) {
      heads[pair] = noted;
      tables.touched[tables.touchedSize++] = pair;
    } else {
      occurrences[tails[pair]! + 1] = noted;
    }
    tails[pair] = noted;
    noted += 2;
  }

  return tables;
}
