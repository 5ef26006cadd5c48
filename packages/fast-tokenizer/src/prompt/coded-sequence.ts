/** @file The sequence around actions that are already ids, as `FASTTokenizer` makes it: prompt, `Action: `, ids, `|`. */

import { type ActionRowsOptions, actionRows } from "./action-rows.js";
import { actionSpan } from "./action-span.js";
import type { StateVector } from "./clean.js";
import { fastPrefix } from "./clean.js";
import { checkMaxLen, layOut, type OverflowOptions, type TokenizedSequence } from "./sequence.js";

/** The text tokenizer around action ids, their place in the model's vocabulary, and what to do about long samples. */
export interface CodedSequenceOptions extends OverflowOptions, ActionRowsOptions {
  /** Give a sample that was cut, and so lost its terminator, no loss at all. Default false (upstream). */
  dropCutLoss?: boolean;
}

/** Sequences of one length for one vocabulary. */
export interface CodedSequence {
  /** Shapes as `FASTTokenizer.tokenize`; `ids` only in training. */
  tokenize(prompt: string, state: StateVector, ids?: ArrayLike<number>): TokenizedSequence;
  /**
   * What stands between `Action: ` and `|` in generated tokens: the rows, and the action id of each, which is none when
   * it is not in the vocabulary. undefined without an `Action: `.
   */
  actionIds(tokens: ArrayLike<number>): { rows: number[]; ids: number[] } | undefined;
}

/** @throws InsulaError `tokenizer/max-len`, and as `actionRows`. */
export function codedSequence(
  caller: string,
  maxLen: number,
  codes: number,
  options: CodedSequenceOptions,
): CodedSequence {
  const { text } = options;
  checkMaxLen(maxLen);
  const { fastIdFirst, markers, terminator } = actionRows(caller, codes, options);
  return {
    tokenize(prompt, state, ids) {
      const prefix = text.encode(fastPrefix(prompt, state), { addBos: true });
      const causal = ids
        ? [...markers.begin, ...Array.from(ids, (id) => fastIdFirst - id), ...terminator]
        : [];
      return layOut(prefix, causal, maxLen, text.padId, options);
    },
    actionIds(tokens) {
      const rows = actionSpan(tokens, markers);
      return rows && { rows, ids: rows.map((row) => fastIdFirst - row) };
    },
  };
}
