/**
 * @file Prompts with the ids of a learnt action tokenizer (openpi `models/tokenizer.py`, `FSQTokenizer`). openpi only
 * decodes; encoding is added here, in the sequence that decoding expects.
 */
import type { NdArray } from "@insula/model-types";
import { checkShape, type ExtractOptions, notExtracted } from "../extract.js";
import type { Decoded, NotDecoded } from "../fast-action-tokenizer.js";
import type { FsqActionTokenizer } from "../fsq/fsq-action-tokenizer.js";
import type { StateVector } from "./clean.js";
import { type CodedSequence, type CodedSequenceOptions, codedSequence } from "./coded-sequence.js";
import type { TokenizedSequence } from "./sequence.js";

/** The action tokenizer, its place in the model's vocabulary, and the text tokenizer around it. */
export interface FSQTokenizerOptions extends CodedSequenceOptions {
  fsq: FsqActionTokenizer;
}

/** Why a generated sequence holds no actions. */
export type FsqFailure = "no-action" | "foreign-token" | "wrong-count";

/** Prompt, state and actions as one row of ids, with as many action tokens as the autoencoder has. */
export class FSQTokenizer {
  readonly maxLen: number;
  readonly #fsq: FsqActionTokenizer;
  readonly #sequence: CodedSequence;

  /** @throws InsulaError `tokenizer/max-len`, `tokenizer/vocab-size`, `tokenizer/vocab-overlap`. */
  constructor(maxLen: number, options: FSQTokenizerOptions) {
    this.#fsq = options.fsq;
    this.#sequence = codedSequence("FSQTokenizer", maxLen, options.fsq.vocabSize, options);
    this.maxLen = maxLen;
  }

  /**
   * Tokenise a sample; shapes as `FASTTokenizer.tokenize`.
   * @throws InsulaError `tokenizer/state`, `fast/shape`, `fast/not-finite`, and as `onOverflow` asks.
   */
  tokenize(prompt: string, state: StateVector, actions?: NdArray | null): TokenizedSequence {
    return this.#sequence.tokenize(prompt, state, actions ? this.#fsq.encode(actions) : undefined);
  }

  /**
   * The actions in a generated sequence.
   * @param options as `FASTTokenizer.extractActions`; `onError: "zeros"` is upstream's behaviour.
   * @returns `[horizon, dim]`, normalised.
   * @throws InsulaError `fast/no-action`, `fast/foreign-token`, `fast/wrong-count`; `fast/shape` for another one than
   *   the autoencoder's.
   */
  extractActions(
    tokens: ArrayLike<number>,
    options: ExtractOptions & { onError?: Exclude<ExtractOptions["onError"], "status"> },
  ): Decoded<FsqFailure>;
  extractActions(
    tokens: ArrayLike<number>,
    options: ExtractOptions,
  ): Decoded<FsqFailure> | NotDecoded<FsqFailure>;
  extractActions(
    tokens: ArrayLike<number>,
    options: ExtractOptions,
  ): Decoded<FsqFailure> | NotDecoded<FsqFailure> {
    const shape = checkShape("FSQTokenizer", options);
    const fail = (status: FsqFailure, message: string) =>
      notExtracted("FSQTokenizer", status, message, options);
    const found = this.#sequence.actionIds(tokens);
    if (!found) return fail("no-action", `no "Action: " in ${tokens.length} tokens`);
    const { ids, rows } = found;
    const foreign = ids.findIndex((id) => !(id >= 0 && id < this.#fsq.vocabSize));
    if (foreign >= 0) {
      return fail("foreign-token", `token ${rows[foreign]} at ${foreign} of the actions is no action token`);
    }
    const { num_tokens: expected } = this.#fsq.config;
    if (ids.length !== expected) {
      return fail("wrong-count", `${ids.length} action tokens, expected ${expected}`);
    }
    return { ...this.#fsq.decode(ids, shape), status: "ok" };
  }
}
