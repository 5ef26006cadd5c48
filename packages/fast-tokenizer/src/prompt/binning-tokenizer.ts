/**
 * @file The RT-2 / OpenVLA way (openpi `models/tokenizer.py`, `BinningTokenizer`): one token per number, the same prompt.
 * openpi only decodes; encoding is added here as its inverse.
 */
import { InsulaError, type NdArray } from "@insula/model-types";
import { checkChunk } from "../dct.js";
import { type Decoded, MAX_COEFFICIENTS, type NotDecoded } from "../fast-action-tokenizer.js";
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

/** Why a generated sequence holds no actions. */
export type BinningFailure = "no-action" | "foreign-token" | "wrong-count";

/** The shape to decode to. */
interface BinningShape {
  horizon: number;
  dim: number;
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
   * @param options as `FASTTokenizer.extractActions`; `onError: "zeros"` is upstream's behaviour.
   * @returns `[horizon, dim]`, normalised.
   * @throws InsulaError `fast/no-action`, `fast/foreign-token`, `fast/wrong-count`; `fast/shape`.
   */
  extractActions(
    tokens: ArrayLike<number>,
    options: BinningShape & { onError?: "throw" | "zeros" },
  ): Decoded<BinningFailure>;
  extractActions(
    tokens: ArrayLike<number>,
    options: BinningShape & { onError?: "throw" | "zeros" | "status" },
  ): Decoded<BinningFailure> | NotDecoded<BinningFailure>;
  extractActions(
    tokens: ArrayLike<number>,
    options: BinningShape & { onError?: "throw" | "zeros" | "status" },
  ): Decoded<BinningFailure> | NotDecoded<BinningFailure> {
    const { horizon, dim, onError = "throw" } = options;
    const positive = Number.isInteger(horizon) && Number.isInteger(dim) && horizon >= 1 && dim >= 1;
    if (!positive || horizon * dim > MAX_COEFFICIENTS) {
      throw new InsulaError(
        "fast/shape",
        `BinningTokenizer: expected a horizon and a dim with at most ${MAX_COEFFICIENTS} numbers together, found ${horizon} and ${dim}`,
      );
    }
    const actions: NdArray<Float64Array> = { data: new Float64Array(horizon * dim), shape: [horizon, dim] };
    const fail = (
      status: BinningFailure,
      message: string,
    ): Decoded<BinningFailure> | NotDecoded<BinningFailure> => {
      if (onError === "throw") throw new InsulaError(`fast/${status}`, `BinningTokenizer: ${message}`);
      if (onError === "status") return { actions: null, status, message };
      actions.data.fill(0);
      return { actions, status, message };
    };
    const span = actionSpan(tokens, this.#markers);
    if (!span) return fail("no-action", `no "Action: " in ${tokens.length} tokens`);
    if (span.length < actions.data.length) {
      return fail("wrong-count", `${span.length} action tokens, expected ${horizon} · ${dim}`);
    }
    for (let i = 0; i < actions.data.length; i++) {
      const bin = this.#first - span[i]!;
      if (!(bin >= 0 && bin < this.bins))
        return fail("foreign-token", `token ${span[i]} at ${i} of the actions is no bin`);
      actions.data[i] = (bin / this.bins) * 2 - 1;
    }
    return { actions, status: "ok" };
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
