/**
 * @file The tokenizers of a run, from a folder, and as files again for its checkpoints. One layout for both:
 *
 *     <dir>/text/tokenizer.model | tokenizer.json   SentencePiece, Hugging Face or byte-level text tokenizer
 *     <dir>/fast/tokenizer.json, processor_config.json   FAST, for the model types that have it
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { type FastActionTokenizer, resolveVocabulary, type TextTokenizer } from "@insula/fast-tokenizer";
import { loadFastTokenizer, loadTextTokenizer } from "@insula/fast-tokenizer/node";
import { configModelType, InsulaError, type ModelConfig, type ModelSize } from "@insula/model-types";

/** Where to look, in order; the first that exists is used. */
export interface TokenizerPaths {
  /** Files. */
  text: readonly string[];
  /** Folders of FAST's two files. */
  fast: readonly string[];
}

export interface Tokenizers {
  text: TextTokenizer;
  /** Absent where the model type needs none. */
  fast?: FastActionTokenizer;
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
 * Load what `model` needs.
 * @throws InsulaError `data/no-tokenizer` listing where it was looked for; the tokenizers' own errors.
 */
export async function loadTokenizers(paths: TokenizerPaths, model: ModelConfig): Promise<Tokenizers> {
  const textPath = firstOf("text tokenizer", paths.text);
  const text = await loadTextTokenizer(textPath);
  const textFile = [`text/tokenizer${extname(textPath)}`, await readFile(textPath)] as const;
  const type = configModelType(model);
  if (type === "pi0" || type === "pi05") return { text, files: new Map([textFile]) };
  const fast = await loadFastTokenizer(firstOf("FAST tokenizer", paths.fast));
  const files = new Map<string, Uint8Array | string>([
    textFile,
    ["fast/tokenizer.json", JSON.stringify(fast.files.tokenizer)],
    ["fast/processor_config.json", JSON.stringify(fast.files.config)],
  ]);
  return { text, fast, files };
}

/**
 * Rows of the embedding. At sizes trained from scratch, text ids, skipped ids and FAST ids get rows of their
 * own. At full size the vocabulary is PaliGemma's, and FAST takes its rarely used tail as in released checkpoints.
 */
export function vocabularyRows({ text, fast }: Tokenizers, model: ModelConfig, size: ModelSize): number {
  return resolveVocabulary({
    textVocabSize: text.vocabSize,
    fastVocabSize: fast?.vocabSize ?? 0,
    fastSkipTokens: fast ? model.fastSkipTokens : 0,
    minRows: model.vocabSize,
    allowOverlap: size === "full",
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
