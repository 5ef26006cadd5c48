/**
 * @file SentencePiece's text normalisation (`normalizer.cc`): the compiled character map (NFKC and its kin, a
 * darts-clone double array), white space as `▁`, the dummy prefix, and user-defined symbols left as they are.
 */
import { InsulaError } from "@insula/model-types";
import type { SentencePieceFile } from "./sentencepiece-file.js";

/** How SentencePiece writes a space. */
export const SPACE = "\u2581";

/** Length (UTF-16 units) of the symbol that begins at `at`, 0 when none does. */
export type SymbolMatcher = (text: string, at: number) => number;

/** No character becomes more (NFKC's longest has 33 bytes); more would let a small file fill the memory. */
const MAX_REPLACEMENT_BYTES = 256;

/** A matcher of the longest of `symbols`. */
export function makeSymbolMatcher(symbols: Iterable<string>): SymbolMatcher {
  const set = new Set(symbols);
  /** First unit → lengths that occur, longest first. */
  const lengths = new Map<number, number[]>();
  for (const symbol of set) {
    const first = symbol.charCodeAt(0);
    const known = lengths.get(first) ?? [];
    if (!known.includes(symbol.length)) known.push(symbol.length);
    lengths.set(
      first,
      known.sort((a, b) => b - a),
    );
  }
  return (text, at) => {
    for (const length of lengths.get(text.charCodeAt(at)) ?? []) {
      if (at + length <= text.length && set.has(text.slice(at, at + length))) return length;
    }
    return 0;
  };
}

/** The normaliser of a model. */
export function makeNormalizer(file: SentencePieceFile, match: SymbolMatcher): (text: string) => string {
  const { addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces, precompiledCharsmap } = file.normalizer;
  const suffix = file.treatWhitespaceAsSuffix;
  const space = escapeWhitespaces ? SPACE : " ";
  const replace = precompiledCharsmap.length ? makeCharsmap(precompiledCharsmap) : undefined;

  /** The next piece of input and what becomes of it. */
  function step(text: string, at: number): { length: number; out: string } {
    const symbol = match(text, at);
    if (symbol) return { length: symbol, out: text.slice(at, at + symbol) };
    const replaced = replace?.(text, at);
    if (replaced) return replaced;
    const char = String.fromCodePoint(text.codePointAt(at)!);
    return { length: char.length, out: char };
  }

  return (input) => {
    // A lone surrogate is no character in UTF-8.
    const text = input.replace(/\p{Surrogate}/gu, "\ufffd");
    let at = 0;
    if (removeExtraWhitespaces) {
      while (at < text.length) {
        const { length, out } = step(text, at);
        if (out !== " ") break;
        at += length;
      }
    }
    if (at >= text.length) return "";
    let result = !suffix && addDummyPrefix ? space : "";
    let afterSpace = removeExtraWhitespaces;
    while (at < text.length) {
      const { length, out } = step(text, at);
      at += length;
      const kept = afterSpace ? out.replace(/^ +/, "") : out;
      if (kept) {
        result += escapeWhitespaces ? kept.replaceAll(" ", SPACE) : kept;
        afterSpace = kept.endsWith(" ");
      }
      if (!removeExtraWhitespaces) afterSpace = false;
    }
    if (removeExtraWhitespaces) while (result.endsWith(space)) result = result.slice(0, -space.length);
    return suffix && addDummyPrefix ? result + space : result;
  };
}

/**
 * The compiled map: `[u32 trie bytes][trie][NUL-terminated UTF-8 strings]`. Walks the longest prefix of the text
 * that has a replacement.
 * @throws InsulaError `text/sentencepiece` when the sizes do not fit.
 */
function makeCharsmap(
  blob: Uint8Array,
): (text: string, at: number) => { length: number; out: string } | undefined {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  const trieBytes = blob.length >= 4 ? view.getUint32(0, true) : 0;
  if (blob.length < 4 || trieBytes % 4 || 4 + trieBytes > blob.length) {
    throw new InsulaError("text/sentencepiece", `tokenizer.model: broken charsmap of ${blob.length} bytes`);
  }
  const trie = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
  const strings = blob.subarray(4 + trieBytes);
  // U+FEFF is a character here like any other.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const encoder = new TextEncoder();
  // darts-clone's unit: bit 8 has-leaf, bits 0–7 and 31 label, bits 10–31 offset (bit 9: shifted by 8).
  const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);
  /** Longest replacement looks at this many characters (base and combining marks). */
  const window = 32;

  return (text, at) => {
    const bytes = encoder.encode(text.slice(at, at + window));
    let node = offsetOf(trie[0] ?? 0);
    let found = -1;
    let foundBytes = 0;
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i]!;
      node ^= byte;
      const unit = trie[node];
      if (byte === 0 || unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) break;
      node ^= offsetOf(unit);
      if (unit & 0x100) {
        found = (trie[node] ?? 0) & 0x7fffffff;
        foundBytes = i + 1;
      }
    }
    if (found < 0) return undefined;
    let end = found;
    while (end < strings.length && strings[end] !== 0) end++;
    if (end - found > MAX_REPLACEMENT_BYTES) {
      throw new InsulaError(
        "text/sentencepiece",
        `tokenizer.model: broken charsmap: a replacement of ${end - found} bytes`,
      );
    }
    return {
      length: decoder.decode(bytes.subarray(0, foundBytes)).length,
      out: decoder.decode(strings.subarray(found, end)),
    };
  };
}
