/** FAST action tokenizer, text tokenizers and the prompts made of both. Runs in Node and in browsers. */
export type { ActionCodec, ChunkShape } from "./action-codec.js";
export { makeBinCodec } from "./bins.js";
export { dct, idct } from "./dct.js";
export type { ExtractOptions } from "./extract.js";
export {
  type Decoded,
  type DecodeFailure,
  type DecodeOptions,
  FastActionTokenizer,
  type FastTokenizerOptions,
  type NotDecoded,
  type OnDecodeError,
} from "./fast-action-tokenizer.js";
export type { FastProcessorConfig, FastTokenizerFiles } from "./fast-files.js";
export {
  FAST_PLUS_MIN_TOKEN,
  type FastTokenizerJson,
  type FitFastOptions,
  type FittedFastTokenizer,
  fitFastTokenizer,
} from "./fit.js";
export type { FsqConfig } from "./fsq/config.js";
export { FsqActionTokenizer, type FsqFiles } from "./fsq/fsq-action-tokenizer.js";
export { type FsqParams, fsqParamShapes } from "./fsq/params.js";
export type { ActionRowsOptions } from "./prompt/action-rows.js";
export {
  type BinningFailure,
  BinningTokenizer,
  type BinningTokenizerOptions,
} from "./prompt/binning-tokenizer.js";
export { cleanFastPrompt, cleanPrompt, type StateVector, stateBin, stateText } from "./prompt/clean.js";
export type { CodedSequenceOptions } from "./prompt/coded-sequence.js";
export { type ExtractFailure, FASTTokenizer, type FASTTokenizerOptions } from "./prompt/fast-tokenizer.js";
export { FSQTokenizer, type FSQTokenizerOptions, type FsqFailure } from "./prompt/fsq-tokenizer.js";
export { PaligemmaTokenizer, type PaligemmaTokenizerOptions } from "./prompt/paligemma-tokenizer.js";
export type {
  OverflowOptions,
  TokenizedPrompt,
  TokenizedSequence,
  Truncation,
} from "./prompt/sequence.js";
export {
  FAST_SKIP_TOKENS,
  type ResolvedVocabulary,
  resolveVocabulary,
  type VocabularyOptions,
  type VocabularyOverlap,
  vocabularyOverlap,
} from "./prompt/vocabulary.js";
export { type FastReport, type FastReportFailure, type FastReportOptions, reportFast } from "./report.js";
export {
  type ByteTokenizer,
  type ByteTokenizerFile,
  makeByteTokenizer,
  parseByteTokenizer,
} from "./text/byte-tokenizer.js";
export { type HfTextOptions, hfTextTokenizer } from "./text/hf.js";
export { type SentencePieceTokenizer, sentencePieceTokenizer } from "./text/sentencepiece.js";
export type { EncodeTextOptions, TextTokenizer } from "./text/text-tokenizer.js";
