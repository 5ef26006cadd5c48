/**
 * @file The tokenizers of a run, from a folder, and as files again for its checkpoints. One layout for both:
 *
 *     <dir>/text/tokenizer.model | tokenizer.json   SentencePiece, Hugging Face or byte-level text tokenizer
 *     <dir>/fast/tokenizer.json, processor_config.json   FAST, for configurations that have it
 *     <dir>/fsq/config.json, params.safetensors   FSQ, likewise
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import {
  type ActionCodec,
  type FastActionTokenizer,
  type FsqActionTokenizer,
  makeBinCodec,
  resolveVocabulary,
  type TextTokenizer,
} from "@insula/fast-tokenizer";
import { loadFastTokenizer, loadTextTokenizer } from "@insula/fast-tokenizer/node";
import { configModelType, InsulaError, type ModelConfig, PALIGEMMA_VOCAB_SIZE } from "@insula/model-types";
import type { RunConfig } from "../configs/types.js";
import { fsqFiles, loadFsq } from "./fsq-files.js";

/** Where to look, in order; the first that exists is used. */
export interface TokenizerPaths {
  /** Files. */
  text: readonly string[];
  /** Folders of FAST's two files. */
  fast: readonly string[];
  /** Folders of an FSQ tokenizer. */
  fsq: readonly string[];
  /** The tokenizer that the configuration names, folder or Hugging Face repository: where there is none of these. */
  named?: string;
}

/** Actions to ids and back; `type` as `data.fastModelTokenizer` has it. */
export type ActionTokens =
  | { type: "fast"; codec: FastActionTokenizer }
  | { type: "binning"; codec: ActionCodec }
  | { type: "fsq"; codec: FsqActionTokenizer };

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
    fsq: [join(dir, "fsq")],
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
  if (tokenizer.type === "fsq") {
    const fsq = await givenOrNamed(paths, "fsq", loadFsq);
    for (const [name, bytes] of fsqFiles(fsq)) files.set(`fsq/${name}`, bytes);
    return { text, actions: { type: "fsq", codec: fsq }, files };
  }
  const fast = await givenOrNamed(paths, "fast", loadFastTokenizer);
  files.set("fast/tokenizer.json", JSON.stringify(fast.files.tokenizer));
  files.set("fast/processor_config.json", JSON.stringify(fast.files.config));
  return { text, actions: { type: "fast", codec: fast }, files };
}

/** Whether the model type writes actions as tokens. */
export function hasActionTokens(model: ModelConfig): boolean {
  const type = configModelType(model);
  return type === "pi0_fast" || type === "pi05_ki";
}

/** Given folders win over what the configuration names. */
async function givenOrNamed<T>(
  paths: TokenizerPaths,
  type: "fast" | "fsq",
  load: (source: string) => Promise<T>,
): Promise<T> {
  const { named, [type]: given } = paths;
  const refuse = (code: string, message: string, cause?: Error) =>
    new InsulaError(
      code,
      `data.fastModelTokenizer.path: ${message}; or put the tokenizer into ${type}/ of a --tokenizers folder`,
      { cause },
    );
  if (named === undefined && given.length === 0)
    throw refuse("data/no-tokenizer", "expected a folder, found null");
  if (named === undefined || given.some((path) => existsSync(path))) {
    return load(firstOf(`${type.toUpperCase()} tokenizer`, given));
  }
  if (/^\w+:\/\//.test(named) && !named.startsWith("hf://")) {
    const remedy = "cloud addresses are not fetched. Download it and name the folder";
    throw refuse("data/no-tokenizer", `${named}: ${remedy}`);
  }
  try {
    return await load(named);
  } catch (error) {
    throw error instanceof InsulaError ? refuse(error.code, error.message, error) : error;
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
