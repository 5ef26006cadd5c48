/**
 * @file What a prompt needs of a text tokenizer. PaliGemma's is a SentencePiece model; the others stand in for it
 * where its file is not at hand.
 */

/** Special ids around the text. Default: none. */
export interface EncodeTextOptions {
  /** Put the begin-of-sequence id in front. */
  addBos?: boolean;
  /** Put the end-of-sequence id behind. */
  addEos?: boolean;
}

/** Text to ids and back. `encode` adds special ids only where asked to, whatever the tokenizer's own file says. */
export interface TextTokenizer {
  /** Number of ids: one more than the largest. */
  readonly vocabSize: number;
  /** −1 where the tokenizer has none. */
  readonly bosId: number;
  readonly eosId: number;
  readonly padId: number;
  /** @throws InsulaError `text/no-special` when an id asked for does not exist. */
  encode(text: string, options?: EncodeTextOptions): number[];
  /**
   * Text of ids; control ids (begin, end, padding) are invisible.
   * @throws InsulaError `text/id` on an id outside the vocabulary.
   */
  decode(ids: Iterable<number>): string;
  /** The id of a piece as the tokenizer writes it (`▁cup`, `<loc0003>`). */
  pieceToId?(piece: string): number | undefined;
}
