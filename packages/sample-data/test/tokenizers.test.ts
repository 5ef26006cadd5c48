import {
  FASTTokenizer,
  FastActionTokenizer,
  makeByteTokenizer,
  resolveVocabulary,
} from "@insula/fast-tokenizer";
import { describe, expect, test } from "vitest";
import { normalizeQuantiles, quantilesOf } from "../src/action-chunks.js";
import { ACTION_DIM, type Episode, sampleEpisode } from "../src/episode.js";
import {
  CHUNK_HORIZON,
  chunkQuantiles,
  FAST_SCALE,
  FAST_VOCAB_SIZE,
  fitSampleFast,
  normalizedChunks,
} from "../src/fit-tokenizers.js";
import { DEFAULT_EPISODES, sampleDataSplits } from "../src/splits.js";
import { textPieces } from "../src/text-pieces.js";

const text = makeByteTokenizer({ pieces: textPieces() });
const MAX_TOKEN_LEN = 256; // pi05_ki

describe("text tokenizer", () => {
  test("a small vocabulary", () => {
    expect(text.vocabSize).toBeLessThanOrEqual(640);
  });

  test("one id per word and number of a prompt", () => {
    const ids = text.encode("Task: pick up the red cube, State: -1 0 7 128 255 12 34 56;\n");
    const words = ids.map((id) => text.decode([id]));
    expect(words).toEqual([
      ..."Task:| pick| up| the| red| cube|, State:| -1| 0| 7| 128| 255| 12| 34| 56|;\n".split("|"),
    ]);
    expect(text.encode("Action: ")).toHaveLength(1);
    expect(text.encode("|")).toHaveLength(1);
  });

  test("no piece reaches across the prompt's seams: one call and separate calls give the same ids", () => {
    const parts = ["Task: move the blue ball to the left, State: -1 128 192 255;\n", "Action: ", "|"];
    expect(text.encode(parts.join(""))).toEqual(parts.flatMap((part) => text.encode(part)));
  });

  test("what it has no piece for it spells in bytes", () => {
    const sentence = "räume die Tasse auf 🤖 12345";
    expect(text.decode(text.encode(sentence))).toBe(sentence);
  });
});

describe("FAST tokenizer of the default data", () => {
  const episodes: Episode[] = Array.from({ length: DEFAULT_EPISODES }, (_, i) => sampleEpisode(0, i));
  const fitted = fitSampleFast(episodes);
  const fast = new FastActionTokenizer(fitted);
  const { train, validation } = sampleDataSplits();
  const pick = (split: readonly number[]) => split.map((i) => episodes[i]!);
  const quantiles = chunkQuantiles(pick(train));

  /** States `[frames, 8]`. */
  const states = (e: Episode): Float32Array => {
    const out = new Float32Array(e.frames * ACTION_DIM);
    for (let t = 0; t < e.frames; t++) {
      out.set(e.jointPosition.subarray(7 * t, 7 * t + 7), 8 * t);
      out[8 * t + 7] = e.gripperPosition[t]!;
    }
    return out;
  };
  const stateQuantiles = quantilesOf(pick(train).map(states), ACTION_DIM);
  const quantile = (sorted: number[], q: number) => sorted[Math.ceil(q * sorted.length) - 1]!;

  const { vocabSize } = resolveVocabulary({
    textVocabSize: text.vocabSize,
    fastVocabSize: fast.vocabSize,
  });
  const prompts = new FASTTokenizer(MAX_TOKEN_LEN, { text, fast, vocabSize, onOverflow: "error" });

  /** Tokens of every sample of a split, sorted: BOS, prompt, "Action: ", FAST, "|", EOS. */
  const lengths = (split: readonly number[]): number[] =>
    pick(split)
      .flatMap((e) => {
        const state = normalizeQuantiles(states(e), stateQuantiles);
        return normalizedChunks(e, quantiles).map((chunk, t) => {
          const { length } = prompts.tokenize(e.task, state.subarray(8 * t, 8 * t + 8), chunk);
          return length;
        });
      })
      .sort((a, b) => a - b);

  test.each([
    ["training", train, [66, 107, 114]],
    ["validation", validation, [58, 86, 87]],
  ])(
    "%s: mean, p99 and largest number of tokens, all within the text buffer of pi05_ki",
    (_, split, expected) => {
      const all = lengths(split);
      const mean = all.reduce((a, b) => a + b, 0) / all.length;
      expect([Math.round(mean), quantile(all, 0.99), all.at(-1)]).toEqual(expected);
      expect(all.at(-1)).toBeLessThanOrEqual(MAX_TOKEN_LEN);
    },
  );

  test("unseen chunks survive the round trip to the rounding of FAST", () => {
    expect(fast.vocabSize).toBe(FAST_VOCAB_SIZE);
    for (const chunk of pick(validation)
      .flatMap((e) => normalizedChunks(e, quantiles))
      .filter((_, i) => i % 7 === 0)) {
      const { actions } = fast.decode(fast.encode(chunk), { horizon: CHUNK_HORIZON, dim: ACTION_DIM });
      // Each of the 50 orthonormal coefficients of a column is off by at most half a step of the rounding.
      let worst = 0;
      for (let d = 0; d < ACTION_DIM; d++) {
        let squares = 0;
        for (let t = 0; t < CHUNK_HORIZON; t++)
          squares += (actions.data[t * ACTION_DIM + d]! - chunk.data[t * ACTION_DIM + d]!) ** 2;
        worst = Math.max(worst, Math.sqrt(squares));
      }
      expect(worst).toBeLessThanOrEqual((0.5 / FAST_SCALE) * Math.sqrt(CHUNK_HORIZON) + 1e-6);
    }
  });

  test("fitted on training episodes only", () => {
    const tampered = episodes.map((e, i) => (i < 56 ? e : { ...e, actions: e.actions.map((a) => 3 * a) }));
    expect(fitSampleFast(tampered)).toEqual(fitted);
  });
});
