/**
 * @file Fitting a FAST tokenizer to action chunks, as `UniversalActionProcessor.fit` does (same files, merge for
 * merge), with one option more: the byte alphabet, for tokenizers that must take chunks unlike those they saw.
 */
import { InsulaError, type NdArray } from "@insula/model-types";
import { BYTE_CHARS } from "./bpe/byte-level.js";
import { trainBpe } from "./bpe/train.js";
import { makeWordCounter, type Words } from "./bpe/words.js";
import { checkChunk, dctPlan } from "./dct.js";
import type { FastProcessorConfig } from "./fast-files.js";

/** Where FAST+ puts coefficient 0: at U+0162, amid 331 letters, so that ordinary chunks are one word for the BPE. */
export const FAST_PLUS_MIN_TOKEN = -354;

/** What `UniversalActionProcessor.fit` takes, and what it leaves fixed. The defaults are upstream's. */
export interface FitFastOptions {
  /** Number of ids, alphabet included. Training stops earlier when no pair repeats. Default 1024. */
  vocabSize?: number;
  /** Coefficients are multiplied by this before rounding: larger is finer and longer. Default 10. */
  scale?: number;
  /**
   * Put all 256 bytes into the alphabet, as FAST+ has them, instead of the characters seen: every coefficient then has
   * ids. Costs no accuracy and about 60 ids. Default false (upstream).
   */
  byteAlphabet?: boolean;
  /**
   * The coefficient that becomes code point 0; smaller ones are clamped to it when encoding. Default: the smallest one
   * seen (upstream); with `byteAlphabet` the smaller of that and −354, FAST+'s.
   */
  minToken?: number;
  /** Pairs seen less often do not merge. Default 2. */
  minFrequency?: number;
  /** Written into the configuration, for files of one chunk shape. Default null. */
  timeHorizon?: number | null;
  actionDim?: number | null;
  /** Called now and then with the size of the vocabulary so far. */
  onProgress?: (vocabSize: number) => void;
}

/** `UniversalActionProcessor`'s training has this limit, in characters (bytes). */
const MAX_TOKEN_LENGTH = 10_000;

/** A fitted tokenizer, ready for `new FastActionTokenizer` and for `saveFastTokenizer`. */
export interface FittedFastTokenizer {
  tokenizer: FastTokenizerJson;
  config: FastProcessorConfig;
}

/** `tokenizer.json` as written here. */
export interface FastTokenizerJson {
  version: "1.0";
  model: { type: "BPE"; vocab: Record<string, number>; merges: [string, string][]; [key: string]: unknown };
  [key: string]: unknown;
}

/**
 * Fit a tokenizer.
 * @param chunks each `[horizon, dim]`, normalised as they will be when encoded; shapes may differ.
 * @throws InsulaError `fast/fit` when there are no chunks or the vocabulary is too small for the range of the
 *   coefficients; `fast/shape`, `fast/dtype`, `fast/not-finite` naming the chunk.
 */
export function fitFastTokenizer(
  chunks: Iterable<NdArray>,
  options: FitFastOptions = {},
): FittedFastTokenizer {
  const { vocabSize = 1024, scale = 10, byteAlphabet = false } = options;
  if (!(scale > 0 && Number.isFinite(scale))) {
    throw new InsulaError("fast/fit", `fitFastTokenizer: scale: expected a number above 0, found ${scale}`);
  }
  const quantized = [...chunks].map((chunk, i) => quantizeChunk(chunk, scale, i));
  if (quantized.length === 0)
    throw new InsulaError("fast/fit", "fitFastTokenizer: expected at least one chunk");
  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (const coefficients of quantized) {
    for (let i = 0; i < coefficients.length; i++) {
      lowest = Math.min(lowest, coefficients[i]!);
      highest = Math.max(highest, coefficients[i]!);
    }
  }
  const minToken = options.minToken ?? (byteAlphabet ? Math.min(lowest, FAST_PLUS_MIN_TOKEN) : lowest);
  const range = highest - minToken;
  const needed = byteAlphabet ? 256 : range;
  if (needed > vocabSize || range >= 0xd800) {
    throw new InsulaError(
      "fast/fit",
      `fitFastTokenizer: vocabSize ${vocabSize} is too small: coefficients range over ${minToken}…${highest}, which needs ${needed}; ` +
        "raise it, lower the scale, or set byteAlphabet",
    );
  }

  const words = countWords(quantized, minToken);
  const { alphabet, training } = withAlphabet(words, byteAlphabet ? BYTE_CHARS : rawAlphabet(range));
  const { tokens, merges } = trainBpe(alphabet, training, {
    vocabSize,
    minFrequency: options.minFrequency ?? 2,
    maxTokenLength: MAX_TOKEN_LENGTH,
    onProgress: options.onProgress,
  });
  return {
    tokenizer: tokenizerJson(tokens, merges),
    config: {
      action_dim: options.actionDim ?? null,
      auto_map: { AutoProcessor: "processing_action_tokenizer.UniversalActionProcessor" },
      min_token: minToken,
      processor_class: "UniversalActionProcessor",
      scale,
      time_horizon: options.timeHorizon ?? null,
      vocab_size: vocabSize,
    },
  };
}

function quantizeChunk(chunk: NdArray, scale: number, index: number): Float64Array {
  const { data, horizon, dim } = checkChunk(chunk, "fast");
  const out = new Float64Array(data.length);
  dctPlan(horizon).forward(data, out, dim);
  for (let i = 0; i < out.length; i++) {
    const q = out[i]! * scale;
    // Half to even, as numpy.around.
    const rounded = Math.round(q);
    out[i] = rounded - q === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
    if (!Number.isFinite(q)) {
      throw new InsulaError(
        "fast/not-finite",
        `fitFastTokenizer: chunk ${index}: a number of dimension ${i % dim} is not finite`,
      );
    }
  }
  return out;
}

/** Distinct words of all chunks, as bytes. */
function countWords(quantized: readonly Float64Array[], minToken: number): Words<Uint8Array> {
  const counter = makeWordCounter();
  let symbols = new Int32Array(0);
  for (const coefficients of quantized) {
    if (symbols.length < coefficients.length) symbols = new Int32Array(coefficients.length);
    for (let i = 0; i < coefficients.length; i++) symbols[i] = Math.max(coefficients[i]! - minToken, 0);
    counter.add(symbols, coefficients.length);
  }
  return counter.finish();
}

/** Upstream's initial alphabet: the raw characters, although after byte mapping most of them never occur. */
function rawAlphabet(range: number): string[] {
  return Array.from({ length: range + 1 }, (_, c) => String.fromCodePoint(c));
}

/** The alphabet (initial and seen, by code point) and the words in its ids. */
function withAlphabet(
  words: Words<Uint8Array>,
  initial: readonly string[],
): { alphabet: string[]; training: Words<Int32Array> } {
  const characters = new Set(initial);
  const seen = new Uint8Array(256);
  const { values: bytes } = words;
  for (let i = 0; i < bytes.length; i++) seen[bytes[i]!] = 1;
  for (let byte = 0; byte < 256; byte++) if (seen[byte]) characters.add(BYTE_CHARS[byte]!);
  const alphabet = [...characters].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
  const idOf = new Map(alphabet.map((char, id) => [char, id]));
  const byteIds = Int32Array.from(BYTE_CHARS, (char) => idOf.get(char) ?? -1);
  const values = new Int32Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) values[i] = byteIds[bytes[i]!]!;
  return { alphabet, training: { ...words, values } };
}

/** The file that HF's `ByteLevelBPETokenizer` writes. */
function tokenizerJson(tokens: readonly string[], merges: [string, string][]): FastTokenizerJson {
  const byteLevel = { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { ...byteLevel, add_prefix_space: false },
    post_processor: { ...byteLevel, trim_offsets: false },
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}
