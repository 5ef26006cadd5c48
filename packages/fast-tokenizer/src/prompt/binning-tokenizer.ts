/**
 * @file The RT-2 / OpenVLA way (openpi `models/tokenizer.py`, `BinningTokenizer`): one token per number, the same prompt.
 * openpi only decodes; encoding is added here as its inverse.
 */
import type { NdArray } from "@insula/model-types";
import type { ActionCodec } from "../action-codec.js";
import { makeBinCodec } from "../bins.js";
import { checkShape, type ExtractOptions, notExtracted } from "../extract.js";
import type { Decoded, NotDecoded } from "../fast-action-tokenizer.js";
import type { StateVector } from "./clean.js";
import { type CodedSequence, type CodedSequenceOptions, codedSequence } from "./coded-sequence.js";
import type { TokenizedSequence } from "./sequence.js";

/** Resolution of the bins, their place in the model's vocabulary, and the text tokenizer around them. */
export interface BinningTokenizerOptions extends CodedSequenceOptions {
  /** Bins over −1…1. Default 256. */
  bins?: number;
}

/** Why a generated sequence holds no actions. */
export type BinningFailure = "no-action" | "foreign-token" | "wrong-count";

/**
 * Prompt, state and actions as one row of ids, with a token per number: `horizon · dim` tokens where FAST needs a
 * fraction. For comparison with RT-2 and OpenVLA.
 */
export class BinningTokenizer {
  readonly maxLen: number;
  readonly bins: number;
  readonly #codec: ActionCodec;
  readonly #sequence: CodedSequence;

  /** @throws InsulaError `tokenizer/max-len`, `tokenizer/bins`, `tokenizer/vocab-size`, `tokenizer/vocab-overlap`. */
  constructor(maxLen: number, options: BinningTokenizerOptions) {
    const { bins = 256 } = options;
    this.#codec = makeBinCodec(bins);
    this.#sequence = codedSequence("BinningTokenizer", maxLen, bins, options);
    this.maxLen = maxLen;
    this.bins = bins;
  }

  /**
   * Tokenise a sample; shapes as `FASTTokenizer.tokenize`. Actions outside −1…1 fall into the outermost bins.
   * @throws InsulaError `tokenizer/state`, `fast/shape`, `fast/not-finite`, and as `onOverflow` asks.
   */
  tokenize(prompt: string, state: StateVector, actions?: NdArray | null): TokenizedSequence {
    return this.#sequence.tokenize(prompt, state, actions ? this.#codec.encode(actions) : undefined);
  }

  /**
   * The actions in a generated sequence: its first `horizon · dim` action tokens, bin b as `2b / bins - 1`.
   * @param options as `FASTTokenizer.extractActions`; `onError: "zeros"` is upstream's behaviour.
   * @returns `[horizon, dim]`, normalised.
   * @throws InsulaError `fast/no-action`, `fast/foreign-token`, `fast/wrong-count`; `fast/shape`.
   */
  extractActions(
    tokens: ArrayLike<number>,
    options: ExtractOptions & { onError?: Exclude<ExtractOptions["onError"], "status"> },
  ): Decoded<BinningFailure>;
  extractActions(
    tokens: ArrayLike<number>,
    options: ExtractOptions,
  ): Decoded<BinningFailure> | NotDecoded<BinningFailure>;
  extractActions(
    tokens: ArrayLike<number>,
    options: ExtractOptions,
  ): Decoded<BinningFailure> | NotDecoded<BinningFailure> {
    const { horizon, dim } = checkShape("BinningTokenizer", options);
    const fail = (status: BinningFailure, message: string) =>
      notExtracted("BinningTokenizer", status, message, options);
    const found = this.#sequence.actionIds(tokens);
    if (!found) return fail("no-action", `no "Action: " in ${tokens.length} tokens`);
    const ids = found.ids.slice(0, horizon * dim);
    if (ids.length < horizon * dim) {
      return fail("wrong-count", `${ids.length} action tokens, expected ${horizon} · ${dim}`);
    }
    const foreign = ids.findIndex((id) => !(id >= 0 && id < this.bins));
    if (foreign >= 0) {
      return fail("foreign-token", `token ${found.rows[foreign]} at ${foreign} of the actions is no bin`);
    }
    return { ...this.#codec.decode(ids, { horizon, dim }), status: "ok" };
  }
}
