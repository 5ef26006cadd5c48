import type { NdArray } from "@insula/model-types";
import fc from "fast-check";
import { expect, test } from "vitest";
import { BinningTokenizer, makeBinCodec, makeByteTokenizer } from "../src/index.js";
import { errorOf } from "./error-of.js";

const chunk = (values: readonly number[], dim = 1): NdArray<Float64Array> => ({
  data: Float64Array.from(values),
  shape: [values.length / dim, dim],
});

test("a number lies in its bin, whose lower end it becomes; lower ends come back as they are", () => {
  const bins = fc.integer({ min: 2, max: 1024 });
  const values = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(bins, values, (count, numbers) => {
      const codec = makeBinCodec(count);
      const ids = codec.encode(chunk(numbers));
      const { actions } = codec.decode(ids, { horizon: numbers.length, dim: 1 });
      for (const [i, x] of numbers.entries()) {
        expect(ids[i]).toBeGreaterThanOrEqual(0);
        expect(ids[i]).toBeLessThan(count);
        expect(x - actions.data[i]!).toBeGreaterThan(-1e-12);
        // A rounding above: the last bin has 1, and what float64 rounds to its edge is on either side.
        expect(x - actions.data[i]!).toBeLessThan(2 / count + 1e-12);
      }
    }),
  );
  // Powers of two divide without rounding.
  const codec = makeBinCodec(256);
  const every = Int32Array.from({ length: 256 }, (_, id) => id);
  expect(codec.encode(codec.decode(every, { horizon: 32, dim: 8 }).actions)).toEqual(every);
  expect([...codec.encode(chunk([-3, -1, 0, 0.999, 1, 7]))]).toEqual([0, 0, 128, 255, 255, 255]);
});

test("what cannot be encoded or decoded is named", () => {
  const codec = makeBinCodec(16);
  expect(errorOf(() => makeBinCodec(1.5))).toBe(
    "tokenizer/bins: bins: expected a natural number of at least 2, found 1.5",
  );
  expect(errorOf(() => codec.encode(chunk([0, 0, Number.NaN, 0], 2)))).toBe(
    "fast/not-finite: bins: actions[1, 0] is NaN",
  );
  expect(errorOf(() => codec.encode({ data: new Float32Array(3), shape: [3] }))).toMatch(/^fast\/shape: /);
  expect(errorOf(() => codec.decode([1, 2, 3], { horizon: 2, dim: 2 }))).toBe(
    "fast/wrong-count: bins: 3 ids, expected 2 · 2",
  );
  expect(errorOf(() => codec.decode([1, 16], { horizon: 1, dim: 2 }))).toBe(
    "fast/out-of-vocabulary: bins: id 16 at 1 is not in the vocabulary (0…15)",
  );
});

test("bins never take the rows of text unless that is wanted, and a cut sample can have no loss", () => {
  const text = makeByteTokenizer({ pieces: ["Task: ", ", State: ", "Action: "] });
  const needed = text.vocabSize + 128 + 256;
  expect(errorOf(() => new BinningTokenizer(300, { text, vocabSize: needed - 1 }))).toBe(
    `tokenizer/vocab-overlap: vocabulary: with ${needed - 1} rows the action ids reach down to ${text.vocabSize - 1}, ` +
      `the text ids up to ${text.vocabSize - 1}; take at least ${needed} rows (or allowOverlap, as PaliGemma's layout has it)`,
  );
  const options = { text, vocabSize: needed };
  const whole = new BinningTokenizer(300, options).tokenize("x", [0], chunk([0, 0.5]));
  const short = new BinningTokenizer(whole.length - 1, { ...options, dropCutLoss: true });
  expect(short.tokenize("x", [0], chunk([0, 0.5]))).toMatchObject({ truncated: true, lossTokens: 0 });
  expect(whole.lossTokens).toBe(text.encode("Action: ").length + 2 + text.encode("|").length + 1);
});
