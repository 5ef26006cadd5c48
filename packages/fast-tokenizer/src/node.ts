/** @file Tokenizers from and to the file system: the Node entry point, `@insula/fast-tokenizer/node`. */
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InsulaError } from "@insula/model-types";
import { FastActionTokenizer, type FastTokenizerOptions } from "./fast-action-tokenizer.js";
import type { FastTokenizerFiles } from "./fast-files.js";
import { parseByteTokenizer } from "./text/byte-tokenizer.js";
import { type HfTextOptions, hfTextTokenizer } from "./text/hf.js";
import { sentencePieceTokenizer } from "./text/sentencepiece.js";
import type { TextTokenizer } from "./text/text-tokenizer.js";

/** No tokenizer's file is larger (Gemma 3's tokenizer.json has 33 MB); more is a wrong path. */
const MAX_FILE_BYTES = 1 << 28;

/**
 * A FAST tokenizer from a folder with `tokenizer.json` and `processor_config.json` (Hugging Face's layout; newer ones
 * keep the first in `bpe_tokenizer/`).
 * @throws InsulaError `fast/missing-file`, `fast/json`, `fast/tokenizer-json`, `fast/config`.
 */
export async function loadFastTokenizer(
  folder: string,
  options?: FastTokenizerOptions,
): Promise<FastActionTokenizer> {
  const direct = join(folder, "tokenizer.json");
  const nested = join(folder, "bpe_tokenizer", "tokenizer.json");
  const path = (await sizeOfFile(direct)) < 0 && (await sizeOfFile(nested)) >= 0 ? nested : direct;
  const tokenizer = await readJson(path, "fast");
  const config = await readJson(join(folder, "processor_config.json"), "fast");
  return new FastActionTokenizer({ tokenizer, config }, options);
}

/**
 * Write a FAST tokenizer to a folder, as Hugging Face's processors read it. Makes the folder.
 * @param files of `fitFastTokenizer`, or `files` of a tokenizer.
 */
export async function saveFastTokenizer(folder: string, files: FastTokenizerFiles): Promise<void> {
  await mkdir(folder, { recursive: true });
  const write = (name: string, value: unknown): Promise<void> =>
    writeFile(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  await write("tokenizer.json", files.tokenizer);
  await write("processor_config.json", files.config);
  await write("tokenizer_config.json", {
    clean_up_tokenization_spaces: false,
    processor_class: "UniversalActionProcessor",
    tokenizer_class: "PreTrainedTokenizerFast",
  });
  await write("special_tokens_map.json", {});
}

/**
 * A text tokenizer from a file: a SentencePiece `.model`, a Hugging Face `tokenizer.json`, or a byte tokenizer's JSON.
 * @throws InsulaError `text/missing-file`, `text/json`, `text/sentencepiece`, `text/tokenizer-json`, `text/byte-tokenizer`.
 */
export async function loadTextTokenizer(file: string, options?: HfTextOptions): Promise<TextTokenizer> {
  if (!file.endsWith(".json")) return sentencePieceTokenizer(await readBytes(file, "text"), file);
  const json = await readJson(file, "text");
  const type = (json as { type?: unknown } | null)?.type;
  return type === "insula-byte-tokenizer" ? parseByteTokenizer(json) : hfTextTokenizer(json, options);
}

/** −1 when there is no such file. */
async function sizeOfFile(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? found.size : -1;
}

async function readBytes(path: string, area: string): Promise<Uint8Array> {
  const size = await sizeOfFile(path);
  if (size < 0) throw new InsulaError(`${area}/missing-file`, `${path}: no such file`);
  if (size > MAX_FILE_BYTES) {
    throw new InsulaError(
      `${area}/file-size`,
      `${path}: ${size} bytes; a tokenizer has at most ${MAX_FILE_BYTES}`,
    );
  }
  return readFile(path);
}

async function readJson(path: string, area: string): Promise<unknown> {
  const text = new TextDecoder().decode(await readBytes(path, area));
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InsulaError(`${area}/json`, `${path}: not JSON`, { cause });
  }
}
