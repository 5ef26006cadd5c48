import { describeShared, sharedJson } from "@insula/test-kit";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BYTE_CHARS, wordEnd, writeUtf8 } from "../src/bpe/byte-level.js";
import { decodeLossy, decodeSymbols, makeSymbolCodec } from "../src/bpe/codec.js";
import { makeMerger } from "../src/bpe/merge.js";
import { makeReferenceCodec } from "../src/bpe/reference.js";
import { makeSearcher } from "../src/bpe/search.js";
import { makeBpeTables } from "../src/bpe/tables.js";
import { parseBpeModel } from "../src/bpe/tokenizer-json.js";
import { type FastGoldens, FITTED, fastFiles, goldenBpe } from "./shared-fast.js";

interface Row {
  codepoints: number[];
  pieces: string[];
  ids: number[];
}

/** The pieces of a text as HF writes them. */
function piecesOf(symbols: Int32Array): string[] {
  const pieces: string[] = [];
  const bytes = new Uint8Array(4);
  for (let start = 0; start < symbols.length; ) {
    const end = wordEnd(symbols, start, symbols.length);
    let piece = "";
    for (let i = start; i < end; i++) {
      const n = writeUtf8(symbols[i]!, bytes, 0);
      for (let b = 0; b < n; b++) piece += BYTE_CHARS[bytes[b]!];
    }
    pieces.push(piece);
    start = end;
  }
  return pieces;
}

describeShared("byte-level BPE against HF tokenizers", () => {
  const tables = makeBpeTables(parseBpeModel(goldenBpe(2048).files.tokenizer));
  const { rows } = sharedJson<{ rows: Row[] }>("golden/public/fast/pretokenize.json");

  test("words and ids of 300 texts", () => {
    const codec = makeSymbolCodec(tables);
    for (const row of rows) {
      const symbols = Int32Array.from(row.codepoints);
      expect(piecesOf(symbols)).toEqual(row.pieces);
      const count = codec.encode(symbols, symbols.length, true);
      expect([...codec.ids.slice(0, count)]).toEqual(row.ids);
    }
  });

  test.each([1024, 2048] as const)("decoding of arbitrary ids, bpe%i", (vocabSize) => {
    const { files, goldens } = goldenBpe(vocabSize);
    const bpe = makeBpeTables(parseBpeModel(files.tokenizer));
    let broken = 0;
    for (const { tokens, codepoints } of (goldens as FastGoldens).arbitrary_decode) {
      expect([...decodeLossy(bpe, tokens)!]).toEqual(codepoints);
      const symbols = new Int32Array(codepoints.length);
      const count = decodeSymbols(bpe, tokens, symbols);
      if (count < 0) broken++;
      else expect([...symbols]).toEqual(codepoints);
      // Strict decoding fails exactly where the lossy one lost something.
      const lossy = codepoints.includes(0xfffd) || tokens.some((id) => id >= bpe.vocabSize);
      expect(count < 0).toBe(lossy);
    }
    expect(broken).toBeGreaterThan(0);
  });

  test("the integer path equals @huggingface/tokenizers on random texts with FAST+", () => {
    const files = fastFiles("data/fast_plus");
    const plus = makeBpeTables(parseBpeModel(files.tokenizer));
    const integer = makeSymbolCodec(plus);
    const reference = makeReferenceCodec(files.tokenizer, plus);
    const symbol = fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 340, max: 370 }) },
      { weight: 2, arbitrary: fc.integer({ min: 0, max: 700 }) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 0x10ffff }) },
    );
    // Surrogates are no characters; JavaScript's \s differs from Rust's at U+0085 and U+FEFF.
    const text = fc.array(
      symbol.filter((c) => !(c >= 0xd800 && c <= 0xdfff) && c !== 0x85 && c !== 0xfeff),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(text, (codepoints) => {
        const symbols = Int32Array.from(codepoints);
        const a = integer.encode(symbols, symbols.length, false);
        const b = reference.encode(symbols, symbols.length, false);
        expect([...integer.ids.slice(0, a)]).toEqual([...reference.ids.slice(0, b)]);
      }),
      { numRuns: 200 },
    );
  });

  const folders = ["data/fast_plus", ...FITTED.map((name) => `data/fast_fitted/${name}`)];
  test.each([...folders, 1024, 2048] as const)("searching finds what merging makes: %s", (source) => {
    const files = typeof source === "number" ? goldenBpe(source).files : fastFiles(source);
    const bpe = makeBpeTables(parseBpeModel(files.tokenizer));
    const search = makeSearcher(bpe)!;
    const merge = makeMerger(bpe);
    const alphabet = Array.from({ length: 256 }, (_, b) => b).filter((b) => bpe.byteIds[b]! >= 0);
    const known = Array.from({ length: bpe.vocabSize }, (_, id) =>
      [...bpe.bytes.subarray(bpe.offsets[id]!, bpe.offsets[id + 1]!)].filter((b) => bpe.byteIds[b]! >= 0),
    ).filter((bytes) => bytes.length > 1 && bytes.length < 100);
    const piece = fc.oneof(
      fc.constantFrom(...alphabet).map((b) => [b]),
      // Tokens end to end and cut anywhere: where greedy matching goes wrong.
      fc.tuple(fc.constantFrom(...known), fc.nat(), fc.nat()).map(([bytes, a, b]) => {
        const from = a % bytes.length;
        return bytes.slice(from, from + 1 + (b % bytes.length));
      }),
      fc
        .tuple(fc.constantFrom(...known), fc.integer({ min: 1, max: 40 }))
        .map(([bytes, n]) => new Array<number[]>(n).fill(bytes).flat()),
    );
    const word = fc.array(piece, { minLength: 1, maxLength: 40 }).map((pieces) => pieces.flat());
    fc.assert(
      fc.property(word, (bytes) => {
        const found = new Int32Array(bytes.length);
        const end = search(Uint8Array.from(bytes), 0, bytes.length, found, 0);
        const merged = Int32Array.from(bytes, (b) => bpe.byteIds[b]!);
        const mergedEnd = merge(merged, 0, merged.length);
        expect(found.slice(0, end)).toEqual(merged.slice(0, mergedEnd));
      }),
      { numRuns: 150 },
    );
  });
});

describe("searching in tables made by chance", () => {
  test("finds what merging makes", () => {
    // Merges drawn at random over two letters: tokens that cannot occur, runs, overlaps.
    const draw = fc.record({
      picks: fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 25 }),
      text: fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 60 }),
    });
    let searched = 0;
    fc.assert(
      fc.property(draw, ({ picks, text }) => {
        const tokens = ["a", "b"];
        const merges: [string, string][] = [];
        for (const [i, j] of picks) {
          const a = tokens[i % tokens.length]!;
          const b = tokens[j % tokens.length]!;
          if (tokens.includes(a + b) || a.length + b.length > 12) continue;
          tokens.push(a + b);
          merges.push([a, b]);
        }
        const tables = makeBpeTables({
          vocab: new Map(tokens.map((t, id) => [t, id])),
          merges,
          splitWords: true,
        });
        const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
        const found = new Int32Array(bytes.length);
        const end = makeSearcher(tables)!(bytes, 0, bytes.length, found, 0);
        const merged = Int32Array.from(bytes, (b) => tables.byteIds[b]!);
        const mergedEnd = makeMerger(tables)(merged, 0, merged.length);
        expect([...found.slice(0, end)]).toEqual([...merged.slice(0, mergedEnd)]);
        searched++;
      }),
      { numRuns: 1500 },
    );
    expect(searched).toBe(1500);
  });
});

describe("merging", () => {
  const model = (vocab: string[], merges: [string, string][]) =>
    makeBpeTables({ vocab: new Map(vocab.map((t, i) => [t, i])), merges, splitWords: true });
  const run = (tables: ReturnType<typeof model>, text: string): number[] => {
    const codec = makeSymbolCodec(tables);
    const symbols = Int32Array.from(text, (c) => c.codePointAt(0)!);
    const count = codec.encode(symbols, symbols.length, false);
    return [...codec.ids.slice(0, count)];
  };

  test("takes the lowest rank first, leftmost first in runs", () => {
    const tables = model(
      ["a", "b", "aa", "ab", "aab"],
      [
        ["a", "a"],
        ["a", "b"],
        ["aa", "b"],
      ],
    );
    expect(run(tables, "aaab")).toEqual([2, 3]);
    expect(run(tables, "aaaaab")).toEqual([2, 2, 3]);
    expect(run(tables, "aab")).toEqual([4]);
  });

  test("merges that rank before their own parts are followed by merging", () => {
    // (ab, c) ranks before (a, b): once ab exists, abc is made before the next ab.
    const tables = model(
      ["a", "b", "c", "ab", "abc", "ca"],
      [
        ["ab", "c"],
        ["a", "b"],
        ["c", "a"],
      ],
    );
    expect(makeSearcher(tables)).toBeUndefined();
    expect(run(tables, "abcab")).toEqual([4, 3]);
  });
});

describe("tokenizer.json", () => {
  const file = (model: object, more: object = {}) => ({
    model: { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: ["a b"], ...model },
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
    decoder: { type: "ByteLevel" },
    ...more,
  });

  test("takes merges as strings and as pairs", () => {
    expect(parseBpeModel(file({})).merges).toEqual([["a", "b"]]);
    expect(parseBpeModel(file({ merges: [["a", "b"]] })).merges).toEqual([["a", "b"]]);
  });

  test("says what is wrong", () => {
    const message = (json: unknown): string => {
      try {
        parseBpeModel(json);
      } catch (error) {
        return String(error);
      }
      return "accepted";
    };
    expect([
      message(null),
      message({}),
      message(file({ type: "Unigram" })),
      message(file({ vocab: { a: 0, b: -1 } })),
      message(file({ vocab: { a: 0, b: 0 } })),
      message(file({ merges: ["a b c"] })),
      message(file({ merges: ["b a"] })),
      message(file({}, { decoder: null })),
    ]).toMatchInlineSnapshot(`
      [
        "InsulaError: tokenizer.json: expected an object, found null",
        "InsulaError: tokenizer.json: no "model"",
        "InsulaError: tokenizer.json: model.type: expected BPE, found "Unigram"",
        "InsulaError: tokenizer.json: model.vocab: id of "b": expected 0…1048575, found -1",
        "InsulaError: tokenizer.json: model.vocab: id 0 is both "a" and "b"",
        "InsulaError: tokenizer.json: merge 0: expected "a b" or ["a", "b"], found "a b c"",
        "InsulaError: tokenizer.json: merge 0: "ba" is not in the vocabulary",
        "InsulaError: tokenizer.json: expected a ByteLevel decoder",
      ]
    `);
  });

  test("knows what the integer path cannot follow", () => {
    expect(parseBpeModel(file({})).unsupported).toBeUndefined();
    expect(parseBpeModel(file({}, { normalizer: { type: "NFC" } })).unsupported).toBe("normalizer");
    expect(parseBpeModel(file({ unk_token: "a" })).unsupported).toBe("model.unk_token");
    expect(parseBpeModel(file({}, { pre_tokenizer: null })).unsupported).toBe(
      "pre_tokenizer is not ByteLevel",
    );
  });
});
