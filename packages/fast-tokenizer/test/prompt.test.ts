import { readFileSync } from "node:fs";
import type { NdArray } from "@insula/model-types";
import { describeShared, sharedJson, sharedPath, sharedTensors } from "@insula/test-kit";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  BinningTokenizer,
  FASTTokenizer,
  FastActionTokenizer,
  fitFastTokenizer,
  makeByteTokenizer,
  PaligemmaTokenizer,
  resolveVocabulary,
  sentencePieceTokenizer,
  stateBin,
  type Truncation,
} from "../src/index.js";
import { codeOf } from "./error-of.js";
import { goldenBpe, random, smoothChunk } from "./shared-fast.js";

interface Rows {
  tokens: number[];
  mask: number[];
  ar?: number[];
  loss?: number[];
}

interface Goldens {
  rows: {
    prompt: string;
    state: string[];
    max_len: number;
    fast_chunk: string;
    pi0: Rows;
    pi05: Rows;
    fast: Rows;
    fast_prefix: Rows;
  }[];
  extract: { chunk: string | null; generated: number[]; extracted: number[][]; all_zero: boolean }[];
}

const ones = (mask: ArrayLike<number>): number => Array.from(mask).reduce((sum, m) => sum + m, 0);

describeShared("prompts against openpi", () => {
  const goldens = sharedJson<Goldens>("golden/common/transforms/tokenize.json");
  const chunks = sharedTensors("golden/public/fast/bpe1024/goldens.safetensors");
  const text = sentencePieceTokenizer(
    readFileSync(sharedPath("golden/common/transforms/standin_sentencepiece.model")),
  );
  const fast = new FastActionTokenizer(goldenBpe(1024).files);

  test.each(goldens.rows.map((row) => [row.prompt.slice(0, 30), row.max_len, row] as const))(
    "%j in %i",
    (_, maxLen, row) => {
      const state = row.state.map(Number);
      const actions = chunks.get(`${row.fast_chunk}/actions`)!;
      const cuts: Truncation[] = [];
      const options = { text, onTruncate: (cut: Truncation) => cuts.push(cut) };
      const paligemma = new PaligemmaTokenizer(maxLen, options);
      for (const [found, expected] of [
        [paligemma.tokenize(row.prompt), row.pi0],
        [paligemma.tokenize(row.prompt, state), row.pi05],
      ] as const) {
        expect([...found.tokens]).toEqual(expected.tokens);
        expect([...found.tokenMask]).toEqual(expected.mask);
      }
      const tokenizer = new FASTTokenizer(maxLen, { ...options, fast });
      for (const [found, expected] of [
        [tokenizer.tokenize(row.prompt, state, actions), row.fast],
        [tokenizer.tokenize(row.prompt, state), row.fast_prefix],
      ] as const) {
        expect([...found.tokens]).toEqual(expected.tokens);
        expect([...found.tokenMask]).toEqual(expected.mask);
        expect([...found.arMask]).toEqual(expected.ar);
        expect([...found.lossMask]).toEqual(expected.loss);
        expect(found.truncated).toBe(found.length > maxLen);
        expect(found.promptTokens + found.causalTokens).toBe(ones(expected.mask));
        expect(found.lossTokens).toBe(ones(expected.loss!));
      }
      for (const cut of cuts) expect(cut.length).toBeGreaterThan(maxLen);
    },
  );

  test("actions come back from what was generated", () => {
    const tokenizer = new FASTTokenizer(256, { text, fast });
    for (const { generated, extracted, all_zero: allZero } of goldens.extract) {
      const shape = { horizon: extracted.length, dim: extracted[0]!.length };
      const { actions, status } = tokenizer.extractActions(generated, { ...shape, onError: "zeros" });
      expect(actions.data).toBeAllclose(extracted.flat(), { rtol: 1e-12, atol: 1e-13 });
      expect(status).toBe(allZero ? "no-action" : "ok");
      if (allZero) expect(codeOf(() => tokenizer.extractActions(generated, shape))).toBe("fast/no-action");
    }
  });

  test("state bins", () => {
    const { values_hex: hex, ...bins } = sharedJson<{
      values: string[];
      values_hex: string[];
      bins_out: number[];
      bins_out_float32_input: number[];
    }>("golden/common/transforms/discretise.json");
    const values = bins.values.map((value) => Number(value.replace("inf", "Infinity").replace("nan", "NaN")));
    expect(hex).toHaveLength(values.length);
    expect(values.map(stateBin)).toEqual(bins.bins_out);
    expect(Array.from(Float32Array.from(values), stateBin)).toEqual(bins.bins_out_float32_input);
  });

  test("generated text ids among the actions are no numbers", () => {
    const tokenizer = new FASTTokenizer(256, { text, fast });
    const shape = { horizon: 16, dim: 8 };
    const { generated } = goldens.extract[0]!;
    const foreign = [...generated];
    foreign[10] = text.encode("x")[0]! - 20;
    expect(tokenizer.extractActions(foreign, { ...shape, onError: "status" })).toMatchObject({
      actions: null,
      status: "foreign-token",
    });
    const short = [...generated.slice(0, 12), ...generated.slice(-2)];
    expect(tokenizer.extractActions(short, { ...shape, onError: "status" }).status).toBe("wrong-count");
  });
});

describe("sequences", () => {
  const next = random(11);
  const text = makeByteTokenizer({ pieces: ["Task: ", ", State: ", "Action: ", "cup", "pick up the "] });
  const seen = Array.from({ length: 60 }, () => smoothChunk(16, 8, next));
  const fast = new FastActionTokenizer(fitFastTokenizer(seen, { vocabSize: 512, byteAlphabet: true }));
  const { vocabSize } = resolveVocabulary({ textVocabSize: text.vocabSize, fastVocabSize: fast.vocabSize });
  const actions = seen[0]!;
  const state = [0.1, -0.5, 0.99, -1.5, 0, 1, 0.5, Number.NaN];

  test("masks partition the row: prompt, causal part, padding", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme", maxLength: 40 }),
        fc.integer({ min: 1, max: 300 }),
        fc.boolean(),
        fc.boolean(),
        (prompt, maxLen, withActions, dropCutLoss) => {
          const tokenizer = new FASTTokenizer(maxLen, { text, fast, vocabSize, dropCutLoss });
          const row = tokenizer.tokenize(prompt, state, withActions ? actions : undefined);
          const kept = row.promptTokens + row.causalTokens;
          expect(kept).toBe(Math.min(row.length, maxLen));
          for (let i = 0; i < maxLen; i++) {
            const causal = i >= row.promptTokens && i < kept;
            expect(row.tokenMask[i]).toBe(i < kept ? 1 : 0);
            expect(row.arMask[i]).toBe(causal ? 1 : 0);
            expect(row.lossMask[i]).toBe(causal && !(dropCutLoss && row.truncated) ? 1 : 0);
            if (i >= kept) expect(row.tokens[i]).toBe(0);
          }
          expect(ones(row.lossMask)).toBe(row.lossTokens);
        },
      ),
    );
  });

  test("what is tokenised can be extracted, with the prompt in front or without", () => {
    for (const promptFormat of ["fast", "pi05"] as const) {
      const tokenizer = new FASTTokenizer(400, { text, fast, vocabSize, promptFormat });
      for (const chunk of seen.slice(0, 20)) {
        const row = tokenizer.tokenize("pick up the cup", state, chunk);
        const expected = fast.decode(fast.encode(chunk), { horizon: 16, dim: 8 }).actions;
        const shape = { horizon: 16, dim: 8 };
        expect(tokenizer.extractActions(row.tokens, shape).actions).toEqual(expected);
        const generated = row.tokens.slice(row.promptTokens);
        expect(tokenizer.extractActions(generated, shape).actions).toEqual(expected);
      }
    }
  });

  test("promptFormat pi05: at inference the prompt of PaligemmaTokenizer, in training its causal continuation", () => {
    const ki = new FASTTokenizer(300, { text, fast, vocabSize, promptFormat: "pi05" });
    const pi05 = new PaligemmaTokenizer(300, { text }).tokenize(" Pick_up\nthe cup", state);
    const inference = ki.tokenize(" Pick_up\nthe cup", state);
    expect(inference.tokens).toEqual(pi05.tokens);
    const training = ki.tokenize(" Pick_up\nthe cup", state, actions);
    expect(training.promptTokens).toBe(pi05.promptTokens);
    const ids = Array.from(fast.encode(actions), (id) => ki.toTextId(id));
    const causal = training.tokens.slice(training.promptTokens, training.length);
    expect([...causal]).toEqual([...ids, ...text.encode("|", { addEos: true })]);
    expect(text.decode(pi05.tokens.slice(0, pi05.length))).toBe(
      "Task: Pick up the cup, State: 140 64 254 -1 128 255 192 255;\nAction: ",
    );
  });

  test("the map between action ids and rows is its own inverse", () => {
    const tokenizer = new FASTTokenizer(10, { text, fast, vocabSize });
    for (const id of [0, 1, fast.vocabSize - 1]) {
      expect(tokenizer.toTextId(tokenizer.toTextId(id))).toBe(id);
      expect(tokenizer.toTextId(id)).toBeGreaterThanOrEqual(text.vocabSize);
      expect(tokenizer.toTextId(id)).toBe(vocabSize - 129 - id);
    }
  });

  test("overflow: cut and say so, or refuse", () => {
    const base = { text, fast, vocabSize };
    const prompt = "pick up the cup";
    const short = new FASTTokenizer(8, { ...base, onOverflow: "error-prompt" });
    expect(() => short.tokenize(prompt, state)).toThrowErrorMatchingInlineSnapshot(
      `[InsulaError: tokenizer: the prompt alone has 36 tokens, at most 8 fit; shorten it or raise the model's maxTokenLen]`,
    );
    expect(codeOf(() => short.tokenize(prompt, state))).toBe("tokenizer/prompt-too-long");
    const prefix = new FASTTokenizer(300, base).tokenize(prompt, state).length;
    const tight = new FASTTokenizer(prefix + 3, { ...base, onOverflow: "error-prompt", dropCutLoss: true });
    const row = tight.tokenize(prompt, state, actions);
    expect([row.truncated, row.causalTokens, row.lossTokens, ones(row.lossMask)]).toEqual([true, 3, 0, 0]);
    const strict = new FASTTokenizer(prefix + 3, { ...base, onOverflow: "error" });
    expect(codeOf(() => strict.tokenize(prompt, state, actions))).toBe("tokenizer/too-long");
    const cuts: Truncation[] = [];
    new FASTTokenizer(prefix, { ...base, onTruncate: (cut) => cuts.push(cut) }).tokenize(prompt, state);
    expect(cuts).toEqual([]);
    new PaligemmaTokenizer(4, { text, onTruncate: (cut) => cuts.push(cut) }).tokenize("abcdef");
    expect(cuts.map((cut) => cut.message)).toEqual([
      "Token length (8) exceeds max length (4), truncating. Consider increasing maxTokenLen if this happens frequently.",
    ]);
  });

  test("cleaning is Python's", () => {
    const pi0 = new PaligemmaTokenizer(60, { text });
    const shown = (row: { tokens: Int32Array }): string => text.decode(row.tokens);
    expect(shown(pi0.tokenize("\x1c\x85 Fold_the\ntowel \u3000"))).toBe("Fold the towel\n");
    // U+FEFF is white space to JavaScript's trim, not to Python's strip.
    expect(shown(pi0.tokenize("\ufeffx"))).toBe("\ufeffx\n");
    const sequence = new FASTTokenizer(60, { text, fast, vocabSize });
    expect(shown(sequence.tokenize(" Put_It\nON ", Float32Array.of(0)))).toBe(
      "Task: put it\non, State: 128;\n",
    );
  });

  test("bad arguments", () => {
    const tokenizer = new FASTTokenizer(60, { text, fast, vocabSize });
    for (const bad of [undefined, null, "0 1", 3, ["a"]]) {
      expect(codeOf(() => tokenizer.tokenize("x", bad as unknown as number[]))).toBe("tokenizer/state");
    }
    const array: NdArray = { data: new Float32Array(8), shape: [8] };
    expect(() => tokenizer.tokenize("x", array as unknown as number[])).toThrow("an NdArray (pass its data)");
    expect(codeOf(() => tokenizer.tokenize("x", [0], array))).toBe("fast/shape");
    for (const maxLen of [0, -1, 2.5, Number.NaN]) {
      expect(codeOf(() => new PaligemmaTokenizer(maxLen, { text }))).toBe("tokenizer/max-len");
    }
    expect(codeOf(() => new FASTTokenizer(60, { text, fast }))).toBe("tokenizer/vocab-size");
    // 259 + 5 text ids; 652 rows put an action id on that of "|".
    expect(codeOf(() => new FASTTokenizer(60, { text, fast, vocabSize: 652 }))).toBe(
      "tokenizer/vocab-overlap",
    );
  });

  test("binning: bins in, bins out", () => {
    const tokenizer = new BinningTokenizer(400, { text, vocabSize: 1000 });
    const row = tokenizer.tokenize("pick up the cup", state, actions);
    const { actions: found, status } = tokenizer.extractActions(row.tokens, { horizon: 16, dim: 8 });
    expect(status).toBe("ok");
    for (let i = 0; i < 128; i++) {
      const x = actions.data[i]!;
      expect(found.data[i]).toBeLessThanOrEqual(x);
      expect(x - found.data[i]!).toBeLessThan(x === 1 ? 2 / 256 + 1e-12 : 2 / 256);
    }
    // Bin b is row 1000 - 1 - 128 - b, worth 2b/256 - 1; what follows the chunk is left.
    const generated = [...text.encode("Action: "), 871, 871 - 128, 871 - 255, 871, ...text.encode("|")];
    expect([...tokenizer.extractActions(generated, { horizon: 1, dim: 3 }).actions.data]).toEqual([
      -1,
      0,
      1 - 2 / 256,
    ]);
    expect(codeOf(() => tokenizer.extractActions(generated, { horizon: 5, dim: 1 }))).toBe(
      "fast/wrong-count",
    );
    expect(codeOf(() => tokenizer.extractActions([5], { horizon: 1, dim: 1 }))).toBe("fast/no-action");
    generated[2] = 900;
    expect(codeOf(() => tokenizer.extractActions(generated, { horizon: 1, dim: 3 }))).toBe(
      "fast/foreign-token",
    );
    const zeros = tokenizer.extractActions(generated, { horizon: 1, dim: 3, onError: "zeros" });
    expect([...zeros.actions.data]).toEqual([0, 0, 0]);
    expect(zeros.status).toBe("foreign-token");
    const refused = tokenizer.extractActions(generated, { horizon: 1, dim: 3, onError: "status" });
    expect([refused.status, refused.actions]).toEqual(["foreign-token", null]);
    for (const shape of [
      { horizon: 0, dim: 3 },
      { horizon: 2 ** 31, dim: 2 ** 31 },
    ]) {
      expect(codeOf(() => tokenizer.extractActions(generated, shape))).toBe("fast/shape");
    }
  });
});
