/** @file The rows that action ids take in the model's vocabulary, beside the ids that end them. */
import { InsulaError } from "@insula/model-types";
import type { TextTokenizer } from "../text/text-tokenizer.js";
import { type ActionMarkers, actionMarkers } from "./action-span.js";
import { FAST_SKIP_TOKENS, type ResolvedVocabulary, resolveVocabulary } from "./vocabulary.js";

/** The text tokenizer of a sequence, and where action ids lie in the model's vocabulary. */
export interface ActionRowsOptions {
  /** PaliGemma's SentencePiece model, or what stands in for it. */
  text: TextTokenizer;
  /** Rows of the model's embedding table. Default: the text tokenizer's size (upstream). See `resolveVocabulary`. */
  vocabSize?: number;
  /**
   * Let action ids take the rows of the last text ids. Default: only when `vocabSize` is not given, because then the
   * table has no other rows (upstream's layout, made for PaliGemma's `<loc>` tokens).
   */
  allowOverlap?: boolean;
  /** Rows left free above action id 0. Default 128 (upstream). */
  fastSkipTokens?: number;
}

/** Rows, and the ids around the actions. */
export interface ActionRows extends ResolvedVocabulary {
  markers: ActionMarkers;
  /** Ids of `|` and the end of the sequence. */
  terminator: readonly number[];
}

/**
 * The rows of `codes` action ids.
 * @throws InsulaError `tokenizer/vocab-size` when the table has no room for them; `tokenizer/vocab-overlap` when they
 *   reach into the text ids (see `allowOverlap`), or into the ids around the actions.
 */
export function actionRows(caller: string, codes: number, options: ActionRowsOptions): ActionRows {
  const { text, vocabSize = text.vocabSize, fastSkipTokens = FAST_SKIP_TOKENS } = options;
  const vocabulary = resolveVocabulary({
    textVocabSize: text.vocabSize,
    fastVocabSize: codes,
    fastSkipTokens,
    rows: vocabSize,
    allowOverlap: options.allowOverlap ?? options.vocabSize === undefined,
  });
  const { fastIdFirst, fastIdLast } = vocabulary;
  const markers = actionMarkers(text);
  const terminator = text.encode("|", { addEos: true });
  const clash = [...terminator, ...markers.stop].find((id) => id >= fastIdLast && id <= fastIdFirst);
  if (clash === undefined) return { ...vocabulary, markers, terminator };
  throw new InsulaError(
    "tokenizer/vocab-overlap",
    `${caller}: action ids ${fastIdLast}…${fastIdFirst} include ${clash}, which ends the actions; ` +
      `the text tokenizer has ${text.vocabSize} ids: take more rows (resolveVocabulary says how many)`,
  );
}
