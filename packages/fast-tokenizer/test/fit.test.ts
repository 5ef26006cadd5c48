import type { InsulaError, NdArray } from "@insula/model-types";
import { describeShared, sharedJson } from "@insula/test-kit";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { writeUtf8 } from "../src/bpe/byte-level.js";
import { trainBpe } from "../src/bpe/train.js";
import { makeWordCounter, type Words } from "../src/bpe/words.js";
import { FastActionTokenizer, fitFastTokenizer } from "../src/index.js";
import { corpusChunks, goldenBpe, random, smoothChunk } from "./shared-fast.js";
import { trainBpeByWords } from "./train-oracle.js";

/** Corpora to train on twice; INSULA_FUZZ_RUNS for more. */
const RUNS = Math.max(2000, Number(process.env["INSULA_FUZZ_RUNS"] ?? 0));
vi.setConfig({ testTimeout: 60_000 + RUNS });

describeShared("fitting against HF tokenizers", () => {
  test.each([1024, 2048] as const)("bpe%i: the same file, merge for merge", (vocabSize) => {
    const { goldens } = goldenBpe(vocabSize);
    const fitted = fitFastTokenizer(corpusChunks(goldens.corpus_order), { vocabSize });
    expect(fitted.tokenizer).toEqual(sharedJson(`golden/public/fast/bpe${vocabSize}/tokenizer.json`));
    expect(fitted.config).toMatchObject({ scale: 10, min_token: goldens.min_token, vocab_size: vocabSize });
  });
});

describe("fitFastTokenizer", () => {
  const chunks = (n: number, seed = 3): NdArray<Float64Array>[] => {
    const next = random(seed);
    return Array.from({ length: n }, () => smoothChunk(16, 4, next));
  };

  test("what it saw comes back, shorter than it was", () => {
    const seen = chunks(100);
    const tokenizer = new FastActionTokenizer(fitFastTokenizer(seen, { vocabSize: 400 }));
    let total = 0;
    for (const chunk of seen) {
      const ids = tokenizer.encode(chunk);
      total += ids.length;
      const q = tokenizer.quantize(chunk);
      expect(tokenizer.decodeCoefficients(ids, q.length)).toEqual(q);
    }
    expect(total / seen.length).toBeLessThan(40); // of 64 coefficients
  });

  test("byteAlphabet: every coefficient has ids, seen or not", () => {
    const fitted = fitFastTokenizer(chunks(300), { vocabSize: 512, byteAlphabet: true });
    expect(fitted.config.min_token).toBe(-354);
    const vocab = Object.entries(fitted.tokenizer.model.vocab);
    expect(vocab.filter(([token]) => [...token].length === 1)).toHaveLength(256);
    const tokenizer = new FastActionTokenizer(fitted, { belowMin: "throw" });
    expect(tokenizer.vocabSize).toBe(512);
    const any = fc.oneof(
      fc.integer({ min: -354, max: 3000 }),
      fc.integer({ min: 3000, max: 0xd800 - 355 }),
      fc.integer({ min: 0xe000 - 354, max: 0xfffd - 355 }),
      fc.integer({ min: 0x10000 - 354, max: 0x10ffff - 354 }),
    );
    fc.assert(
      fc.property(fc.array(any, { minLength: 1, maxLength: 64 }), (q) => {
        expect([...tokenizer.decodeCoefficients(tokenizer.encodeCoefficients(q), q.length)]).toEqual(q);
      }),
    );
  });

  test("the options are those of the file", () => {
    const fitted = fitFastTokenizer(chunks(5), {
      vocabSize: 300,
      scale: 20,
      minToken: -200,
      timeHorizon: 16,
      actionDim: 4,
    });
    expect(fitted.config).toMatchObject({ scale: 20, min_token: -200, time_horizon: 16, action_dim: 4 });
    const tokenizer = new FastActionTokenizer(fitted);
    expect([tokenizer.horizon, tokenizer.dim]).toEqual([16, 4]);
  });

  test("stops when nothing repeats", () => {
    const fitted = fitFastTokenizer([smoothChunk(4, 1, random(1))], { vocabSize: 5000, byteAlphabet: true });
    expect(fitted.tokenizer.model.merges.length).toBeLessThan(4);
  });

  test("refuses what cannot be fitted", () => {
    const code = (run: () => unknown): string => {
      try {
        run();
      } catch (error) {
        return (error as InsulaError).code;
      }
      return "none";
    };
    const wild = { data: Float64Array.of(-100, 100), shape: [1, 2] };
    expect(() => fitFastTokenizer([wild], { vocabSize: 1024 })).toThrowErrorMatchingInlineSnapshot(
      `[InsulaError: fitFastTokenizer: vocabSize 1024 is too small: coefficients range over -1000…1000, which needs 2000; raise it, lower the scale, or set byteAlphabet]`,
    );
    expect(code(() => fitFastTokenizer([]))).toBe("fast/fit");
    expect(code(() => fitFastTokenizer(chunks(1), { scale: -1 }))).toBe("fast/fit");
    expect(code(() => fitFastTokenizer(chunks(1), { vocabSize: 100, byteAlphabet: true }))).toBe("fast/fit");
    expect(() =>
      fitFastTokenizer([...chunks(2), { data: Float64Array.of(0, Number.NaN), shape: [1, 2] }]),
    ).toThrow("chunk 2: a number of dimension 1 is not finite");
  });
});

/** Words laid end to end, as training takes them. */
function wordsOf(words: readonly { ids: readonly number[]; count: number }[]): Words<Int32Array> {
  const starts = [0];
  for (const { ids } of words) starts.push(starts.at(-1)! + ids.length);
  return {
    values: Int32Array.from(words.flatMap(({ ids }) => ids)),
    starts: Int32Array.from(starts),
    counts: Int32Array.from(words, ({ count }) => count),
  };
}

describe("trainBpe", () => {
  const train = (words: [string, number][], vocabSize: number, minFrequency = 1) => {
    const alphabet = [...new Set(words.flatMap(([word]) => [...word]))].sort();
    const training = wordsOf(
      words.map(([word, count]) => ({ ids: [...word].map((c) => alphabet.indexOf(c)), count })),
    );
    return trainBpe(alphabet, training, { vocabSize, minFrequency, maxTokenLength: 100 });
  };

  test("most frequent first, ties by smallest ids", () => {
    const { tokens, merges } = train(
      [
        ["hug", 10],
        ["pug", 5],
        ["pun", 12],
        ["bun", 4],
        ["hugs", 5],
      ],
      10,
    );
    // The course of Sennrich's algorithm on this corpus is well known.
    expect(merges).toEqual([
      ["u", "g"],
      ["u", "n"],
      ["h", "ug"],
    ]);
    expect(tokens.slice(-3)).toEqual(["ug", "un", "hug"]);
  });

  test("rare pairs do not merge", () => {
    expect(train([["ab", 1]], 10, 2).merges).toEqual([]);
    expect(train([["ab", 2]], 10, 2).merges).toEqual([["a", "b"]]);
  });

  test("merges as training word by word does: few letters, many runs", () => {
    const word = fc.record({
      ids: fc.array(fc.nat(2), { minLength: 1, maxLength: 40 }),
      count: fc.integer({ min: 1, max: 4 }),
    });
    const options = fc.record({
      vocabSize: fc.integer({ min: 3, max: 120 }),
      minFrequency: fc.integer({ min: 0, max: 3 }),
      maxTokenLength: fc.constantFrom(3, 4, 7, 100),
    });
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 30 }), options, (words, limits) => {
        const alphabet = ["a", "b", "c"];
        const trained = trainBpe(alphabet, wordsOf(words), limits);
        const expected = trainBpeByWords(
          alphabet,
          words.map(({ ids, count }) => ({ ids: Int32Array.from(ids), count })),
          limits,
        );
        expect(trained).toEqual(expected);
      }),
      { numRuns: RUNS },
    );
  });

  test("words: counted once each, in the order they come", () => {
    const text = fc.array(fc.oneof(fc.constantFrom(0x20, 0x61, 0x62, 0x162), fc.nat(0xd7ff)), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(fc.array(text, { maxLength: 80 }), (texts) => {
        const counter = makeWordCounter();
        const expected = new Map<string, number>();
        const bytes = new Uint8Array(4);
        for (const symbols of texts) {
          counter.add(Int32Array.from(symbols), symbols.length);
          const words = String.fromCodePoint(...symbols).match(WORDS) ?? [];
          for (const found of words) {
            const key = [...found].flatMap((c) => [
              ...bytes.subarray(0, writeUtf8(c.codePointAt(0)!, bytes, 0)),
            ]);
            expected.set(String(key), (expected.get(String(key)) ?? 0) + 1);
          }
        }
        const { values, starts, counts } = counter.finish();
        const list = Array.from(counts, (count, w) => [
          String([...values.subarray(starts[w], starts[w + 1])]),
          count,
        ]);
        expect(list).toEqual([...expected]);
      }),
    );
  });
});

/** GPT-2's pattern; its `\s` is Unicode's White_Space. */
const WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
