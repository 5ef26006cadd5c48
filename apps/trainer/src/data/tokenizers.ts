/**
 * @file The tokenizers of a run, from a folder, and as files again for its checkpoints. One layout for both:
 *
 *     <dir>/text/tokenizer.model | tokenizer.json   SentencePiece, Hugging Face or byte-level text tokenizer
 *     <dir>/fast/tokenizer.json, processor_config.json   FAST, for configurations that have it
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import {
  type ActionCodec,
  type FastActionTokenizer,
  makeBinCodec,
  resolveVocabulary,
  type TextTokenizer,
} from "@insula/fast-tokenizer";
import { loadFastTokenizer, loadTextTokenizer } from "@insula/fast-tokenizer/node";
import { configModelType, InsulaError, type ModelConfig, PALIGEMMA_VOCAB_SIZE } from "@insula/model-types";
import type { RunConfig } from "../configs/types.js";

/** Where to look, in order; the first that exists is used. */
export interface TokenizerPaths {
  /** Files. */
  text: readonly string[];
  /** Folders of FAST's two files. */
  fast: readonly string[];
  /** The FAST tokenizer that the configuration names, folder or Hugging Face repository: where there is none of these. */
  named?: string;
}

/** Actions to ids and back; `type` as `data.fastModelTokenizer` has it. */
export type ActionTokens =
  | { type: "fast"; codec: FastActionTokenizer }
  | { type: "binning"; codec: ActionCodec };

export interface Tokenizers {
  text: TextTokenizer;
  /** Absent where the model type needs none. */
  actions?: ActionTokens;
  /** The same as files, by path relative to a tokenizer folder. */
  files: ReadonlyMap<string, Uint8Array | string>;
}

/** The layout of a `--tokenizers` folder. */
export function tokenizerPaths(dir: string): TokenizerPaths {
  return {
    text: ["text/tokenizer.model", "text/tokenizer.json", "paligemma_tokenizer.model"].map((p) =>
      join(dir, p),
    ),
    fast: ["fast", "fast_plus"].map((p) => join(dir, p)),
  };
}

/**
 * Load what a configuration needs.
 * @throws InsulaError `data/no-tokenizer` listing where it was looked for; the tokenizers' own errors; `hub/…` for a
 *   repository that cannot be had.
 */
export async function loadTokenizers(
  paths: TokenizerPaths,
  { model, data }: Pick<RunConfig, "model" | "data">,
): Promise<Tokenizers> {
  const textPath = firstOf("text tokenizer", paths.text);
  const text = await loadTextTokenizer(textPath);
  const files = new Map<string, Uint8Array | string>([
    [`text/tokenizer${extname(textPath)}`, await readFile(textPath)],
  ]);
  if (!hasActionTokens(model)) return { text, files };
  const { fastModelTokenizer: tokenizer } = data;
  if (tokenizer.type === "binning") {
    return { text, actions: { type: "binning", codec: makeBinCodec(tokenizer.bins) }, files };
  }
  const fast = await loadFast(paths);
  files.set("fast/tokenizer.json", JSON.stringify(fast.files.tokenizer));
  files.set("fast/processor_config.json", JSON.stringify(fast.files.config));
  return { text, actions: { type: "fast", codec: fast }, files };
}

/** Whether the model type writes actions as tokens. */
export function hasActionTokens(model: ModelConfig): boolean {
  const type = configModelType(model);
  return type === "pi0_fast" || type === "pi05_ki";
}

/** Given files win over what the configuration names. */
async function loadFast({ fast, named }: TokenizerPaths): Promise<FastActionTokenizer> {
  if (named === undefined || fast.some((path) => existsSync(path))) {
    return loadFastTokenizer(firstOf("FAST tokenizer", fast));
  }
  try {
    return await loadFastTokenizer(named);
  } catch (error) {
    if (!(error instanceof InsulaError)) throw error;
    throw new InsulaError(
      error.code,
      `data.fastModelTokenizer.path: ${error.message}; or put the tokenizer into fast/ of a --tokenizers folder`,
      { cause: error },
    );
  }
}

/**
 * Whether action ids may take rows of text ids: with PaliGemma's own tokenizer, whose rarely used tail they take in
 * released checkpoints (openpi `models/tokenizer.py`), and with no other.
 */
export function overlapAllowed({ text }: Tokenizers): boolean {
  return text.vocabSize === PALIGEMMA_VOCAB_SIZE;
}

/** Rows of the embedding: `model.vocabSize`, and more where text ids, skipped ids and action ids need more. */
export function vocabularyRows(tokenizers: Tokenizers, model: ModelConfig): number {
  const { text, actions } = tokenizers;
  return resolveVocabulary({
    textVocabSize: text.vocabSize,
    fastVocabSize: actions?.codec.vocabSize ?? 0,
    fastSkipTokens: actions ? model.fastSkipTokens : 0,
    minRows: model.vocabSize,
    allowOverlap: overlapAllowed(tokenizers),
  }).vocabSize;
}

function firstOf(what: string, paths: readonly string[]): string {
  const path = paths.find((candidate) => existsSync(candidate));
  if (path !== undefined) return path;
  throw new InsulaError(
    "data/no-tokenizer",
    `no ${what}: looked for ${paths.join(", ")}. Put it there, or name another folder with --tokenizers`,
  );
}
