/** @file Prompts of pi0 and pi0.5 (openpi `models/tokenizer.py`, `PaligemmaTokenizer`). */
import type { TextTokenizer } from "../text/text-tokenizer.js";
import { cleanPrompt, pi05Prefix, type StateVector } from "./clean.js";
import { checkMaxLen, layOut, type OverflowOptions, type TokenizedPrompt } from "./sequence.js";

/** The text tokenizer, and what to do with prompts of more than `maxLen` tokens. */
export interface PaligemmaTokenizerOptions extends OverflowOptions {
  /** PaliGemma's SentencePiece model, or what stands in for it. */
  text: TextTokenizer;
}

/**
 * A prompt, for pi0.5 with the state in it, as one row of `maxLen` ids: the text input of pi0 and pi05, without
 * actions.
 */
export class PaligemmaTokenizer {
  readonly maxLen: number;
  readonly #options: PaligemmaTokenizerOptions;

  /**
   * @param maxLen length of the token row (openpi: 48 for pi0, 200 for pi0.5).
   * @throws InsulaError `tokenizer/max-len`.
   */
  constructor(maxLen: number, options: PaligemmaTokenizerOptions) {
    this.maxLen = checkMaxLen(maxLen);
    this.#options = options;
  }

  /**
   * Tokenise a prompt. Without a state, pi0's form: the text, then a newline tokenised by itself. With one, pi0.5's:
   * `Task: …, State: …;\nAction: `.
   * @param state normalised, not padded.
   * @throws InsulaError `tokenizer/state`, and as `onOverflow` asks.
   */
  tokenize(prompt: string, state?: StateVector): TokenizedPrompt {
    const { text } = this.#options;
    const ids =
      state === undefined
        ? [...text.encode(cleanPrompt(prompt), { addBos: true }), ...text.encode("\n")]
        : text.encode(pi05Prefix(prompt, state), { addBos: true });
    const { tokens, tokenMask, promptTokens, length, truncated } = layOut(
      ids,
      [],
      this.maxLen,
      text.padId,
      this.#options,
    );
    return { tokens, tokenMask, promptTokens, length, truncated };
  }
}
