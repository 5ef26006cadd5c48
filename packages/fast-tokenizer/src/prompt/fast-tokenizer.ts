/**
 * @file Prompts with action tokens (openpi `models/tokenizer.py`, `FASTTokenizer`):
 * `<bos>Task: {text}, State: {bins};\n` seen in both directions, then, causal and in the loss,
 * `Action: {action tokens}|<eos>`. Or, to fine-tune released π0.5 checkpoints, the prompt those were trained with:
 * `<bos>Task: {text}, State: {bins};\nAction: `, then `{action tokens}|<eos>`.
 */
import type { NdArray } from "@insula/model-types";
import type {
  Decoded,
  DecodeFailure,
  DecodeOptions,
  FastActionTokenizer,
  NotDecoded,
  OnDecodeError,
} from "../fast-action-tokenizer.js";
import { type ActionRowsOptions, actionRows } from "./action-rows.js";
import { type ActionMarkers, actionSpan } from "./action-span.js";
import { fastPrefix, pi05Prefix, type StateVector } from "./clean.js";
import { checkMaxLen, layOut, type OverflowOptions, type TokenizedSequence } from "./sequence.js";
import { FAST_SKIP_TOKENS, type VocabularyOverlap, vocabularyOverlap } from "./vocabulary.js";

/** The two tokenizers that a sequence is made with, and where action ids lie in the model's vocabulary. */
export interface FASTTokenizerOptions extends OverflowOptions, ActionRowsOptions {
  /** Actions to tokens. */
  fast: FastActionTokenizer;
  /**
   * A sample that was cut has lost its terminator: give it no loss at all, rather than train on a sequence without an
   * end. Default false (upstream).
   */
  dropCutLoss?: boolean;
  /** `fast` (default): the prompt of FASTTokenizer. `pi05`: that of PaligemmaTokenizer, its `Action: ` in both directions. */
  promptFormat?: "fast" | "pi05";
}

/** Why a generated sequence holds no actions. */
export type ExtractFailure = DecodeFailure | "no-action" | "foreign-token";

/**
 * Prompt, state and FAST-coded actions as one row of `maxLen` ids with its masks, and back: the text input of
 * pi0_fast and pi05_ki.
 */
export class FASTTokenizer {
  readonly maxLen: number;
  /** Rows of the embedding table that the action ids are counted from. */
  readonly vocabSize: number;
  readonly fastSkipTokens: number;
  readonly promptFormat: "fast" | "pi05";
  /** Text ids whose rows the action ids take; null when they share none. */
  readonly overlap: VocabularyOverlap | null;
  readonly #options: FASTTokenizerOptions;
  readonly #markers: ActionMarkers;
  readonly #terminator: readonly number[];

  /**
   * @param maxLen length of the token row (openpi: 256).
   * @throws InsulaError `tokenizer/max-len`; `tokenizer/vocab-size` when the table has no room for the action ids;
   *   `tokenizer/vocab-overlap` when action ids reach into the text ids (see `allowOverlap`), or into the ids around
   *   the actions.
   */
  constructor(maxLen: number, options: FASTTokenizerOptions) {
    const { text, fast, vocabSize = text.vocabSize, fastSkipTokens = FAST_SKIP_TOKENS } = options;
    this.maxLen = checkMaxLen(maxLen);
    const rows = actionRows("FASTTokenizer", fast.vocabSize, options);
    this.overlap = vocabularyOverlap(rows, text);
    this.vocabSize = vocabSize;
    this.fastSkipTokens = fastSkipTokens;
    this.promptFormat = options.promptFormat ?? "fast";
    this.#options = options;
    this.#markers = rows.markers;
    this.#terminator = rows.terminator;
  }

  /**
   * Tokenise a training or inference sample.
   * @param state normalised, not padded; written into the prompt as bin numbers.
   * @param actions `[horizon, dim]`, normalised, not padded; left out at inference.
   * @throws InsulaError `tokenizer/state`; `fast/…` for actions; and as `onOverflow` asks.
   */
  tokenize(prompt: string, state: StateVector, actions?: NdArray | null): TokenizedSequence {
    const { text, fast } = this.#options;
    const pi05 = this.promptFormat === "pi05";
    const prefix = text.encode(pi05 ? pi05Prefix(prompt, state) : fastPrefix(prompt, state), {
      addBos: true,
    });
    const causal: number[] = [];
    if (actions) {
      if (!pi05) causal.push(...this.#markers.begin);
      for (const id of fast.encode(actions)) causal.push(this.toTextId(id));
      causal.push(...this.#terminator);
    }
    return layOut(prefix, causal, this.maxLen, text.padId, this.#options);
  }

  /** Row of an action id, and the action id of a row: the map is its own inverse. */
  toTextId(id: number): number {
    return this.vocabSize - 1 - this.fastSkipTokens - id;
  }

  /**
   * The actions in a generated sequence.
   * @param tokens ids, with or without the prompt in front.
   * @param options as `FastActionTokenizer.decode`; `onError: "zeros"` is upstream's behaviour. Zeros are the middle of
   *   the normalisation, not "stand still".
   * @returns `[horizon, dim]`, normalised.
   * @throws InsulaError `fast/no-action` (no `Action: ` in it; "fast" prompts only), `fast/foreign-token` (a text id among the actions), and
   *   as `FastActionTokenizer.decode`.
   */
  extractActions(
    tokens: ArrayLike<number>,
    options?: DecodeOptions & { onError?: Exclude<OnDecodeError, "status"> },
  ): Decoded<ExtractFailure>;
  extractActions(
    tokens: ArrayLike<number>,
    options?: DecodeOptions,
  ): Decoded<ExtractFailure> | NotDecoded<ExtractFailure>;
  extractActions(
    tokens: ArrayLike<number>,
    options: DecodeOptions = {},
  ): Decoded<ExtractFailure> | NotDecoded<ExtractFailure> {
    const { fast } = this.#options;
    // What follows a pi0.5 prompt begins with the actions themselves.
    const span = actionSpan(tokens, this.#markers) ?? this.#bareSpan(tokens);
    if (!span) return fast.failure("no-action", `no "Action: " in ${tokens.length} tokens`, options);
    const ids = span.map((id) => this.toTextId(id));
    const foreign = ids.findIndex((id) => !(id >= 0 && id < fast.vocabSize));
    if (foreign >= 0) {
      const message = `token ${span[foreign]} at ${foreign} of the actions is no action token (${this.toTextId(fast.vocabSize - 1)}…${this.toTextId(0)})`;
      return fast.failure("foreign-token", message, options);
    }
    return fast.decode(ids, options);
  }

  #bareSpan(tokens: ArrayLike<number>): number[] | undefined {
    if (this.promptFormat !== "pi05") return undefined;
    return actionSpan(tokens, { ...this.#markers, begin: [] });
  }
}
