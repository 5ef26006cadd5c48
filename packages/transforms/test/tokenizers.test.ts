/** The transforms with the real tokenizers, against openpi's own PaligemmaTokenizer and FASTTokenizer. */
import { readFileSync } from "node:fs";
import {
  FASTTokenizer,
  FastActionTokenizer,
  type FastProcessorConfig,
  type FastTokenizerJson,
  PaligemmaTokenizer,
  sentencePieceTokenizer,
} from "@insula/fast-tokenizer";
import type { NdArray } from "@insula/model-types";
import { describeShared, sharedJson, sharedPath, sharedTensors } from "@insula/test-kit";
import { expect, test } from "vitest";
import {
  compose,
  extractFASTActions,
  type FastSequenceTokenizer,
  modelTransforms,
  type PromptTokenizer,
  tokenizeFASTInputs,
  tokenizePrompt,
} from "../src/index.js";

interface Masks {
  tokens: number[];
  mask: number[];
  ar: number[];
  loss: number[];
}
interface Golden {
  rows: {
    prompt: string;
    state: string[];
    max_len: number;
    fast_chunk: string;
    pi0: Masks;
    pi05: Masks;
    fast: Masks;
    fast_prefix: Masks;
  }[];
  extract: { chunk: string | null; generated: number[]; all_zero: boolean; extracted: number[][] }[];
}

describeShared("openpi's tokenizers", () => {
  const golden = sharedJson<Golden>("golden", "common", "transforms", "tokenize.json");
  const folder = ["golden", "public", "fast", "bpe1024"];
  const chunks = sharedTensors(...folder, "goldens.safetensors");
  const file = sharedPath("golden", "common", "transforms", "standin_sentencepiece.model");
  const text = sentencePieceTokenizer(readFileSync(file), file);
  const fast = new FastActionTokenizer({
    tokenizer: sharedJson<FastTokenizerJson>(...folder, "tokenizer.json"),
    config: sharedJson<FastProcessorConfig>(...folder, "goldens.json"),
  });
  const promptTokenizer = (maxLen: number): PromptTokenizer => new PaligemmaTokenizer(maxLen, { text });
  const fastTokenizer = (maxLen: number): FastSequenceTokenizer => new FASTTokenizer(maxLen, { text, fast });
  const data = (x: unknown) => (x as NdArray).data;

  test.each(golden.rows.map((row, i) => [i, row] as const))("row %i", (_, row) => {
    const state = { data: Float64Array.from(row.state, Number), shape: [row.state.length] };
    const sample = { prompt: row.prompt, state };
    const actions = chunks.get(`${row.fast_chunk}/actions`)!;

    const pi0 = tokenizePrompt(promptTokenizer(row.max_len))(sample);
    const pi05 = tokenizePrompt(promptTokenizer(row.max_len), { discreteStateInput: true })(sample);
    for (const [out, expected] of [[pi0, row.pi0] as const, [pi05, row.pi05] as const]) {
      expect([...data(out["tokenized_prompt"])]).toEqual(expected.tokens);
      expect([...data(out["tokenized_prompt_mask"])]).toEqual(expected.mask);
    }

    const transform = tokenizeFASTInputs(fastTokenizer(row.max_len));
    for (const [out, expected] of [
      [transform({ ...sample, actions }), row.fast] as const,
      [transform(sample), row.fast_prefix] as const,
    ]) {
      expect([...data(out["tokenized_prompt"])]).toEqual(expected.tokens);
      expect([...data(out["tokenized_prompt_mask"])]).toEqual(expected.mask);
      expect([...data(out["token_ar_mask"])]).toEqual(expected.ar);
      expect([...data(out["token_loss_mask"])]).toEqual(expected.loss);
    }
  });

  test.each(golden.extract.map((e) => [e.chunk ?? "no actions", e] as const))("extract %s", (_, e) => {
    const [horizon, dim] = [e.extracted.length, e.extracted[0]!.length];
    const generated = { data: Float32Array.from(e.generated), shape: [e.generated.length] };
    const run = (onError: "throw" | "zeros") =>
      extractFASTActions(fastTokenizer(256), { horizon, dim, onError })({ actions: generated })[
        "actions"
      ] as NdArray;
    const out = run("zeros");
    expect(out.shape).toEqual([horizon, dim]);
    expect(out.data).toBeAllclose(e.extracted.flat(), { rtol: 1e-6 });
    if (e.all_zero) expect(() => run("throw")).toThrow("Action: ");
  });

  test("promptFormat: π0.5's prompt in front of FAST codes", () => {
    const row = golden.rows.find((r) => r.max_len === 200)!;
    const maxLen = 256;
    const make = (promptFormat: "fast" | "pi05") =>
      modelTransforms({
        modelType: "pi05_ki",
        actionDim: 32,
        actionHorizon: 16,
        imageSize: 4,
        promptFormat,
        fastTokenizer: new FASTTokenizer(maxLen, { text, fast, promptFormat }),
      }).inputs;
    const sample = {
      prompt: row.prompt,
      state: { data: Float64Array.from(row.state, Number), shape: [8] },
      actions: chunks.get(`${row.fast_chunk}/actions`)!,
      image: { base_0_rgb: { data: new Uint8Array(48), shape: [4, 4, 3] } },
    };
    const out = compose(make("pi05"))(sample);
    const prompt = row.pi05.tokens.slice(
      0,
      row.pi05.mask.reduce((a, b) => a + b),
    );
    const codes = row.fast.tokens.filter((_, i) => row.fast.loss[i]).slice(text.encode("Action: ").length);
    const expected = [...prompt, ...codes];
    expect([...data(out["tokenized_prompt"])].slice(0, expected.length)).toEqual(expected);
    expect(data(out["token_loss_mask"])).toEqual(
      new Uint8Array(maxLen).fill(1, prompt.length, expected.length),
    );
    // the same lower-case words either way: what differs is the side on which "Action: " counts
    const sum = (x: unknown) => [...(data(x) as Uint8Array)].reduce((a, b) => a + b, 0);
    const asFast = compose(make("fast"))(sample);
    expect(sum(asFast["token_loss_mask"])).toBe(codes.length + text.encode("Action: ").length);
  });
});
