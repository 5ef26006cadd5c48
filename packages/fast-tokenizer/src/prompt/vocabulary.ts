/**
 * @file How text ids and action ids share one embedding table of V rows: action id a lives in row
 * `V - 1 - skip - a`, counting down from the top (openpi `_act_tokens_to_paligemma_tokens`; skip 128 spares
 * PaliGemma's `<seg>` tokens).
 */
import { InsulaError } from "@insula/model-types";
import type { TextTokenizer } from "../text/text-tokenizer.js";

/** Rows at the top that action ids leave free, in openpi. */
export const FAST_SKIP_TOKENS = 128;

/** What has to share one embedding table, and its size where that is given. */
export interface VocabularyOptions {
  /** Ids of the text tokenizer. */
  textVocabSize: number;
  /** Ids of the action tokenizer. */
  fastVocabSize: number;
  /** Rows left free at the top. Default 128. */
  fastSkipTokens?: number;
  /** Fewest rows wanted; more are taken where the tokenizers need them. Default 0. */
  minRows?: number;
  /** Exact number of rows, e.g. of a checkpoint. */
  rows?: number;
  /** Let action ids take the rows of the last text ids, as openpi does with PaliGemma's `<loc>` tokens. Default false. */
  allowOverlap?: boolean;
}

/** The layout of an embedding table. Action ids count down: id a lives in row `fastIdFirst - a`. */
export interface ResolvedVocabulary {
  /** Rows of the embedding table. */
  vocabSize: number;
  /** Row of action id 0: the highest. */
  fastIdFirst: number;
  /** Row of the last action id: the lowest. */
  fastIdLast: number;
}

/**
 * The size of the embedding table and the rows of the action ids.
 * @throws InsulaError `tokenizer/vocab-overlap` when `rows` are too few to keep action ids above the text ids;
 *   `tokenizer/vocab-size` when a size is no natural number, text ids have no row, or action ids would fall below row 0.
 */
export function resolveVocabulary(options: VocabularyOptions): ResolvedVocabulary {
  const { textVocabSize, fastVocabSize, fastSkipTokens = FAST_SKIP_TOKENS, minRows = 0, rows } = options;
  const sizes = { textVocabSize, fastVocabSize, fastSkipTokens, minRows, rows: rows ?? 0 };
  for (const [name, size] of Object.entries(sizes)) {
    if (!(Number.isSafeInteger(size) && size >= 0)) {
      throw new InsulaError(
        "tokenizer/vocab-size",
        `vocabulary: ${name}: expected a natural number, found ${size}`,
      );
    }
  }
  const needed = textVocabSize + fastVocabSize + fastSkipTokens;
  const vocabSize = rows ?? Math.max(minRows, options.allowOverlap ? textVocabSize : needed);
  const fastIdFirst = vocabSize - 1 - fastSkipTokens;
  const fastIdLast = fastIdFirst - (fastVocabSize - 1);
  if (vocabSize < textVocabSize) {
    throw new InsulaError(
      "tokenizer/vocab-size",
      `vocabulary: ${vocabSize} rows are too few for ${textVocabSize} text ids`,
    );
  }
  if (fastIdLast < 0) {
    throw new InsulaError(
      "tokenizer/vocab-size",
      `vocabulary: ${vocabSize} rows are too few for ${fastVocabSize} action ids and ${fastSkipTokens} skipped ones`,
    );
  }
  if (!options.allowOverlap && fastIdLast < textVocabSize) {
    throw new InsulaError(
      "tokenizer/vocab-overlap",
      `vocabulary: with ${vocabSize} rows the action ids reach down to ${fastIdLast}, the text ids up to ${textVocabSize - 1}; ` +
        `take at least ${needed} rows (or allowOverlap, as PaliGemma's layout has it)`,
    );
  }
  return { vocabSize, fastIdFirst, fastIdLast };
}

/** Rows of the embedding table that are both a text id's and an action id's. */
export interface VocabularyOverlap {
  /** Lowest and highest row, and how many. */
  first: number;
  last: number;
  count: number;
  /** PaliGemma's location tokens among them, `<loc0000>`…`<loc1023>`: how many. */
  locTokens: number;
}

/** Location tokens of PaliGemma. */
const LOC_TOKENS = 1024;

/**
 * Which text ids lose their rows to action ids: none (null) unless `allowOverlap` was wanted. Under PaliGemma's own
 * layout FAST+ takes all `<loc>` tokens and the 1024 rarest words below them.
 */
export function vocabularyOverlap(
  vocabulary: ResolvedVocabulary,
  text: Pick<TextTokenizer, "vocabSize" | "pieceToId">,
): VocabularyOverlap | null {
  const first = vocabulary.fastIdLast;
  const last = Math.min(vocabulary.fastIdFirst, text.vocabSize - 1);
  if (first > last) return null;
  let locTokens = 0;
  for (let i = 0; i < LOC_TOKENS; i++) {
    const id = text.pieceToId?.(`<loc${String(i).padStart(4, "0")}>`) ?? -1;
    if (id >= first && id <= last) locTokens++;
  }
  return { first, last, count: last - first + 1, locTokens };
}
