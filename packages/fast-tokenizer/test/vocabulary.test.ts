import { readFileSync } from "node:fs";
import { describeShared, sharedPath } from "@insula/test-kit";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  FASTTokenizer,
  FastActionTokenizer,
  fitFastTokenizer,
  makeByteTokenizer,
  resolveVocabulary,
  sentencePieceTokenizer,
  vocabularyOverlap,
} from "../src/index.js";
import { fastPlus, random, smoothChunk } from "./shared-fast.js";

describe("resolveVocabulary", () => {
  test("action ids lie above the text ids, skipped rows above them", () => {
    const natural = fc.nat({ max: 300_000 });
    fc.assert(
      fc.property(
        natural,
        fc.integer({ min: 1, max: 5000 }),
        fc.nat({ max: 2000 }),
        natural,
        (t, f, s, m) => {
          const found = resolveVocabulary({
            textVocabSize: t,
            fastVocabSize: f,
            fastSkipTokens: s,
            minRows: m,
          });
          expect(found.vocabSize).toBe(Math.max(m, t + f + s));
          expect(found.fastIdLast).toBeGreaterThanOrEqual(t);
          expect(found.fastIdFirst - found.fastIdLast).toBe(f - 1);
          expect(found.vocabSize - 1 - found.fastIdFirst).toBe(s);
        },
      ),
    );
  });

  test("PaliGemma's own layout", () => {
    const paligemma = { textVocabSize: 257_152, fastVocabSize: 2048, rows: 257_152 };
    expect(resolveVocabulary({ ...paligemma, allowOverlap: true })).toEqual({
      vocabSize: 257_152,
      fastIdFirst: 257_023,
      fastIdLast: 254_976,
    });
    expect(() => resolveVocabulary(paligemma)).toThrowErrorMatchingInlineSnapshot(
      `[InsulaError: vocabulary: with 257152 rows the action ids reach down to 254976, the text ids up to 257151; take at least 259328 rows (or allowOverlap, as PaliGemma's layout has it)]`,
    );
  });

  test("what PaliGemma's layout costs: all <loc> tokens, and 1024 words", () => {
    const text = {
      vocabSize: 257_152,
      pieceToId: (piece: string) => {
        const [, n] = /^<loc(\d{4})>$/.exec(piece) ?? [];
        return n === undefined ? undefined : 256_000 + Number(n);
      },
    };
    const sizes = { textVocabSize: text.vocabSize, fastVocabSize: 2048 };
    const upstream = { ...sizes, rows: 257_152, allowOverlap: true };
    expect(vocabularyOverlap(resolveVocabulary(upstream), text)).toEqual({
      first: 254_976,
      last: 257_023,
      count: 2048,
      locTokens: 1024,
    });
    // Rows further up: the words are spared, then some of the locations.
    const less = resolveVocabulary({ ...upstream, rows: 257_152 + 1500 });
    expect(vocabularyOverlap(less, text)).toEqual({
      first: 256_476,
      last: 257_151,
      count: 676,
      locTokens: 548,
    });
    expect(vocabularyOverlap(resolveVocabulary({ ...upstream, fastSkipTokens: 200 }), text)?.locTokens).toBe(
      952,
    );
    expect(vocabularyOverlap(resolveVocabulary(sizes), text)).toBeNull();
  });

  test("sizes that make no sense", () => {
    for (const bad of [-1, 1.5, Number.NaN]) {
      expect(() => resolveVocabulary({ textVocabSize: bad, fastVocabSize: 1 })).toThrow(
        /textVocabSize: expected/,
      );
    }
    expect(() => resolveVocabulary({ textVocabSize: 10, fastVocabSize: 1, rows: 5 })).toThrow(/10 text ids/);
  });
});

describe("the byte tokenizer with a fitted one", () => {
  const next = random(5);
  const chunks = Array.from({ length: 40 }, () => smoothChunk(16, 8, next));
  const fast = new FastActionTokenizer(fitFastTokenizer(chunks, { vocabSize: 512, byteAlphabet: true }));
  const text = makeByteTokenizer({ pieces: ["Action: "] });

  test("fits into the rows that resolveVocabulary names, not into fewer", () => {
    const sizes = { textVocabSize: text.vocabSize, fastVocabSize: fast.vocabSize };
    const { vocabSize } = resolveVocabulary({ ...sizes, minRows: 256 });
    expect(vocabSize).toBe(260 + fast.vocabSize + 128);
    expect(() => resolveVocabulary({ ...sizes, rows: vocabSize - 1 })).toThrow(
      /reach down to 259, the text ids up to 259/,
    );
    const tokenizer = new FASTTokenizer(256, { text, fast, vocabSize });
    expect(tokenizer.overlap).toBeNull();
    const row = tokenizer.tokenize("cup", [0], chunks[0]);
    expect(Math.max(...row.tokens)).toBeLessThan(vocabSize);
  });
});

describeShared("FAST+ with Mistral's SentencePiece model", () => {
  const fast = fastPlus();
  const text = sentencePieceTokenizer(
    readFileSync(sharedPath("data/text_tokenizers/mistral_v1/mistral_instruct_tokenizer_240323.model.v3")),
  );
  const sizes = { textVocabSize: text.vocabSize, fastVocabSize: fast.vocabSize };

  test("needs 32768 + 2048 + 128 rows", () => {
    expect(resolveVocabulary(sizes).vocabSize).toBe(32_768 + 2176);
    expect(() => resolveVocabulary({ ...sizes, rows: 32_768 + 2175 })).toThrow(/32767/);
  });

  test("upstream's layout without spare rows takes the last text ids, and says so", () => {
    const shared = new FASTTokenizer(256, { text, fast });
    const first = 32_768 - 128 - 2048;
    expect(shared.overlap).toEqual({ first, last: first + 2047, count: 2048, locTokens: 0 });
    const close = new FASTTokenizer(256, { text, fast, fastSkipTokens: 0 });
    expect([close.toTextId(0), close.overlap?.last]).toEqual([32_767, 32_767]);
  });

  test("text ids and action ids never meet", () => {
    const { vocabSize, fastIdLast } = resolveVocabulary(sizes);
    const tokenizer = new FASTTokenizer(256, { text, fast, vocabSize });
    const chunk = smoothChunk(15, 8, random(2));
    const row = tokenizer.tokenize("put the red cup on the shelf", new Float32Array(8), chunk);
    const prompt = row.tokens.slice(0, row.promptTokens);
    expect(Math.max(...prompt)).toBeLessThan(fastIdLast);
    expect(row.tokens.filter((id) => id >= fastIdLast)).toHaveLength(fast.encode(chunk).length);
    const { actions } = tokenizer.extractActions(row.tokens, { horizon: 15, dim: 8 });
    expect(actions.data).toBeAllclose(chunk.data, { atol: 0.2 });
  });
});
