/**
 * @file The RT-2 / OpenVLA way (openpi `models/tokenizer.py`, `BinningTokenizer`): one token per number, the same prompt.
 * openpi only decodes; encoding is added here as its inverse.
 */
import { InsulaError, type NdArray } from "@insula/model-types";
import { checkChunk } from "../dct.js";
import type { TextTokenizer } from "../text/text-tokenizer.js";
import { type ActionMarkers, actionMarkers, actionSpan } from "./action-span.js";
import { fastPrefix, type StateVector } from "./clean.js";
import { checkMaxLen, layOut, type OverflowOptions, type TokenizedSequence } from "./sequence.js";
import { FAST_SKIP_TOKENS, resolveVocabulary } from "./vocabulary.js";

/** Resolution of the bins, their place in the model's vocabulary, and the text tokenizer around them. */
export interface BinningTokenizerOptions extends OverflowOptions {
  text: TextTokenizer;
  /** Bins over −1…1. Default 256. */
  bins?: number;
  /** Rows of the model's embedding table. Default: the text tokenizer's size. */
  vocabSize?: number;
  /** Rows left free above bin 0. Default 128. */
  fastSkipTokens?: number;
}

/**
 * Prompt, state and actions as one row of ids, with a token per number: `horizon · dim` tokens where FAST needs a
 * fraction. For comparison with RT-2 and OpenVLA.
 */
export class BinningTokenizer {
  readonly maxLen: number;
  readonly bins: number;
  readonly #options: BinningTokenizerOptions;
  readonly #markers: ActionMarkers;
  /** Row of bin 0; bins count down from it. */
  readonly #first: number;

  /** @throws InsulaError `tokenizer/max-len`, `tokenizer/vocab-size`. */
  constructor(maxLen: number, options: BinningTokenizerOptions) {
    const { text, bins = 256, vocabSize = text.vocabSize, fastSkipTokens = FAST_SKIP_TOKENS } = options;
    this.maxLen = checkMaxLen(maxLen);
    this.bins = bins;
    this.#options = options;
    this.#markers = actionMarkers(text);
    this.#first = resolveVocabulary({
      textVocabSize: text.vocabSize,
      fastVocabSize: bins,
      fastSkipTokens,
      rows: vocabSize,
      allowOverlap: true,
    }).fastIdFirst;
  }

  /**
   * Tokenise a sample; shapes as `FASTTokenizer.tokenize`. Actions outside −1…1 fall into the outermost bins.
   * @throws InsulaError `tokenizer/state`, `fast/shape`, `fast/not-finite`, and as `onOverflow` asks.
   */
  tokenize(prompt: string, state: StateVector, actions?: NdArray | null): TokenizedSequence {
    const { text } = this.#options;
    const prefix = text.encode(fastPrefix(prompt, state), { addBos: true });
    const causal = actions
      ? [...this.#markers.begin, ...this.#encode(actions), ...text.encode("|", { addEos: true })]
      : [];
    return layOut(prefix, causal, this.maxLen, text.padId, this.#options);
  }

  /**
   * The actions in a generated sequence: its first `horizon · dim` action tokens, bin b as `2b / bins - 1`.
   * @returns `[horizon, dim]`; zeros with `onError: "zeros"` (upstream) when there are too few.
   * @throws InsulaError `fast/no-action`, `fast/foreign-token`, `fast/wrong-count`.
   */
  extractActions(
    tokens: ArrayLike<number>,
    options: { horizon: number; dim: number; onError?: "throw" | "zeros" },
  ): NdArray<Float64Array> {
    const { horizon, dim, onError = "throw" } = options;
    const actions = new Float64Array(horizon * dim);
    const result: NdArray<Float64Array> = { data: actions, shape: [horizon, dim] };
    const fail = (code: string, message: string): NdArray<Float64Array> => {
      if (onError === "zeros") return { ...result, data: actions.fill(0) };
      throw new InsulaError(`fast/${code}`, `BinningTokenizer: ${message}`);
    };
    const span = actionSpan(tokens, this.#markers);
    if (!span) return fail("no-action", `no "Action: " in ${tokens.length} tokens`);
    if (span.length < actions.length) {
      return fail("wrong-count", `${span.length} action tokens, expected ${horizon} · ${dim}`);
    }
    for (let i = 0; i < actions.length; i++) {
      const bin = this.#first - span[i]!;
      if (!(bin >= 0 && bin < this.bins))
        return fail("foreign-token", `token ${span[i]} at ${i} of the actions is no bin`);
      actions[i] = (bin / this.bins) * 2 - 1;
    }
    return result;
  }

  #encode(actions: NdArray): number[] {
    const { data, dim } = checkChunk(actions, "fast");
    return Array.from(data, (x: number, i) => {
      if (!Number.isFinite(x)) {
        throw new InsulaError(
          "fast/not-finite",
          `BinningTokenizer: actions[${Math.floor(i / dim)}, ${i % dim}] is ${x}`,
        );
      }
      const bin = Math.floor(((x + 1) / 2) * this.bins);
      return this.#first - Math.min(Math.max(bin, 0), this.bins - 1);
    });
  }
}
