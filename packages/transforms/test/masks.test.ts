/** Tokens of real tokenizers: prompt, causal part and padding part every sequence, cut or not. */
import { FASTTokenizer } from "@insula/fast-tokenizer";
import type { NdArray, Sample } from "@insula/model-types";
import fc from "fast-check";
import { expect, test } from "vitest";
import { tokenizeFASTInputs } from "../src/index.js";
import { chunk, fast, text, vocabSize } from "./small-tokenizers.js";

const parts = fc.record({
  prompt: fc.string({ maxLength: 40 }),
  seed: fc.double({ min: 0, max: 100, noNaN: true }),
  maxLen: fc.integer({ min: 1, max: 120 }),
  promptFormat: fc.constantFrom("fast" as const, "pi05" as const),
  dropCutLoss: fc.boolean(),
  withActions: fc.boolean(),
});

test("masks partition the sequence", () => {
  fc.assert(
    fc.property(parts, ({ prompt, seed, maxLen, promptFormat, dropCutLoss, withActions }) => {
      const tokenizer = new FASTTokenizer(maxLen, { text, fast, vocabSize, promptFormat, dropCutLoss });
      let cut = false;
      const tokenize = tokenizeFASTInputs(tokenizer, { onTruncated: () => (cut = true) });
      const state = { data: Float64Array.of(-1.2, 0, 0.7), shape: [3] };
      const sample: Sample = { prompt, state, ...(withActions ? { actions: chunk(seed) } : {}) };
      const out = tokenize(sample);
      const of = (key: string) => (out[key] as NdArray<Int32Array | Uint8Array>).data;
      const [tokens, mask, causal, loss] = [
        of("tokenized_prompt"),
        of("tokenized_prompt_mask"),
        of("token_ar_mask"),
        of("token_loss_mask"),
      ];
      const real = mask.filter((m) => m === 1).length;
      const first = withActions ? Math.max(causal.indexOf(1), 0) || real : real;
      // prompt [0, first), causal [first, real), padding [real, maxLen): no gap, no overlap
      expect([...mask]).toEqual(Array.from(mask, (_, i) => Number(i < real)));
      const isCausal = (i: number): boolean => i >= first && i < real;
      expect([...causal]).toEqual(Array.from(causal, (_, i) => Number(isCausal(i))));
      const counted = !(cut && dropCutLoss);
      expect([...loss]).toEqual(Array.from(loss, (_, i) => Number(counted && isCausal(i))));
      expect(tokens.subarray(real).every((id) => id === Math.max(text.padId, 0))).toBe(true);
      expect(tokens.every((id) => id >= 0 && id < vocabSize)).toBe(true);
      if (!cut) expect(withActions).toBe(first < real);
      if (cut) expect(real).toBe(maxLen);
    }),
    { numRuns: 300 },
  );
});
