/**
 * @file The words that a BPE is trained on: texts of code points, split by the GPT-2 pattern, as UTF-8, each distinct
 * word once with its count. Laid end to end in one array; no strings.
 */
import { wordEnd, writeUtf8 } from "./byte-level.js";

/** Distinct words, laid end to end. */
export interface Words<Values extends Uint8Array | Int32Array> {
  /** Word w is `values[starts[w] … starts[w + 1])`. */
  readonly values: Values;
  /** `[words + 1]`. */
  readonly starts: Int32Array;
  /** `[words]`, how often each occurs. */
  readonly counts: Int32Array;
}

/** Collects words, numbered in the order in which they first come. */
export interface WordCounter {
  /** Count the words of `symbols[0…length)`, which must be Unicode scalar values. */
  add(symbols: Int32Array, length: number): void;
  finish(): Words<Uint8Array>;
}

/** An empty counter. */
export function makeWordCounter(): WordCounter {
  let bytes = new Uint8Array(1 << 16);
  let starts = new Int32Array(1 << 10);
  let counts = new Int32Array(1 << 10);
  let size = 0;
  /** Open addressing, at most half full: 1 + word, 0 when free. */
  let slots = new Int32Array(1 << 11);

  const hash = (from: number, to: number): number => {
    let h = to - from;
    for (let i = from; i < to; i++) h = Math.imul(h ^ bytes[i]!, 0x01000193);
    return Math.imul(h ^ (h >>> 15), 0x9e3779b1) >>> 0;
  };
  const equals = (word: number, from: number, to: number): boolean => {
    const start = starts[word]!;
    if (starts[word + 1]! - start !== to - from) return false;
    for (let i = from, j = start; i < to; i++, j++) if (bytes[i] !== bytes[j]) return false;
    return true;
  };
  /** The slot of the word at `from…to`, or the free one where it belongs. */
  const slotOf = (from: number, to: number): number => {
    const mask = slots.length - 1;
    let slot = hash(from, to) & mask;
    while (slots[slot] !== 0 && !equals(slots[slot]! - 1, from, to)) slot = (slot + 1) & mask;
    return slot;
  };
  const grow = (): void => {
    starts = grown(starts, 2 * starts.length);
    counts = grown(counts, 2 * counts.length);
    slots = new Int32Array(2 * slots.length);
    for (let word = 0; word < size; word++) slots[slotOf(starts[word]!, starts[word + 1]!)] = word + 1;
  };

  return {
    add(symbols, length): void {
      for (let start = 0; start < length; ) {
        const end = wordEnd(symbols, start, length);
        const from = starts[size]!;
        let to = from;
        if (bytes.length < from + 4 * (end - start)) {
          bytes = grown(bytes, 2 * (from + 4 * (end - start)));
        }
        for (let i = start; i < end; i++) to += writeUtf8(symbols[i]!, bytes, to);
        const slot = slotOf(from, to);
        const word = slots[slot] === 0 ? size : slots[slot]! - 1;
        counts[word]! += 1;
        if (word === size) {
          slots[slot] = ++size;
          starts[size] = to;
          if (size + 1 === starts.length) grow();
        }
        start = end;
      }
    },
    finish: () => ({
      values: bytes.subarray(0, starts[size]!),
      starts: starts.subarray(0, size + 1),
      counts: counts.subarray(0, size),
    }),
  };
}

/** A longer copy. */
export function grown<Values extends Uint8Array | Int32Array | Float64Array>(
  values: Values,
  length: number,
): Values {
  const copy = new (values.constructor as new (length: number) => Values)(length);
  copy.set(values);
  return copy;
}
