/** The three parts of one training sample: prompt, causal action tokens, padding, in 256 places. */
import { ndarray } from "@insula/model-types";
import { describeShared } from "@insula/test-kit";
import { expect, test } from "vitest";
import { FASTTokenizer, makeByteTokenizer, resolveVocabulary } from "../src/index.js";
import { fastPlus } from "./shared-fast.js";

describeShared("FASTTokenizer(256)", () => {
  test("state of 8, actions [16, 8], 'pick up the cup'", () => {
    const fast = fastPlus();
    const text = makeByteTokenizer();
    const { vocabSize } = resolveVocabulary({ textVocabSize: text.vocabSize, fastVocabSize: fast.vocabSize });
    const tokenizer = new FASTTokenizer(256, { text, fast, vocabSize });

    const state = Float32Array.from({ length: 8 }, (_, d) => Math.sin(d));
    const data = Float32Array.from({ length: 16 * 8 }, (_, i) => 0.8 * Math.sin((i >> 3) / 5 + (i & 7)));
    const actions = ndarray(data, [16, 8]);
    const row = tokenizer.tokenize("pick up the cup", state, actions);

    const count = (mask: ArrayLike<number>): number => Array.from(mask).filter(Boolean).length;
    const total = row.tokens.length;
    const valid = count(row.tokenMask);
    const loss = count(row.lossMask);
    const causal = count(row.arMask);
    console.log(`total ${total}, valid ${valid}, loss ${loss}, causal ${causal}`);

    const prompt = "Task: pick up the cup, State: 128 235 244 146 31 5 92 212;\n";
    const codes = fast.encode(actions).length;
    expect(total).toBe(256);
    expect(row.truncated).toBe(false);
    expect(row.promptTokens).toBe(1 + prompt.length);
    expect(text.decode(row.tokens.slice(0, row.promptTokens))).toBe(prompt);
    expect(causal).toBe("Action: ".length + codes + "|".length + 1);
    expect(loss).toBe(causal);
    expect(valid).toBe(row.promptTokens + causal);
    const { actions: decoded } = tokenizer.extractActions(row.tokens, { horizon: 16, dim: 8 });
    expect(decoded.data).toBeAllclose(data, { atol: 0.15 });
  });
});
