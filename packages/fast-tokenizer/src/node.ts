/** @file Tokenizers from and to the file system: the Node entry point, `@insula/fast-tokenizer/node`. */
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type HubOptions, type HubRepo, parseRepo } from "@insula/hub-cache";
import { InsulaError } from "@insula/model-types";
import { FastActionTokenizer, type FastTokenizerOptions } from "./fast-action-tokenizer.js";
import type { FastTokenizerFiles } from "./fast-files.js";
import { type HubSnapshot, hubSnapshot } from "./node/hub-snapshot.js";
import { parseByteTokenizer } from "./text/byte-tokenizer.js";
import { type HfTextOptions, hfTextTokenizer } from "./text/hf.js";
import { sentencePieceTokenizer } from "./text/sentencepiece.js";
import type { TextTokenizer } from "./text/text-tokenizer.js";

export type { HubOptions } from "@insula/hub-cache";

/** No tokenizer's file is larger (Gemma 3's tokenizer.json has 33 MB); more is a wrong path. */
const MAX_FILE_BYTES = 1 << 28;

/** {@link FastTokenizerOptions}, and where repositories come from. */
export interface LoadFastOptions extends FastTokenizerOptions {
  hub?: HubOptions;
}

/** {@link HfTextOptions}, and where repositories come from. */
export interface LoadTextOptions extends HfTextOptions {
  hub?: HubOptions & {
    /** Path of the tokenizer in the repository. Default: `tokenizer.json`, else `tokenizer.model`. */
    file?: string;
  };
}

/**
 * A FAST tokenizer from a folder with `tokenizer.json` and `processor_config.json` (Hugging Face's layout; newer ones
 * keep the first in `bpe_tokenizer/`), or from a repository of the Hugging Face hub, kept in its cache.
 * @param source a folder; or, where there is no such folder, `owner/name` or `owner/name@revision`
 *   (`hf://owner/name` is never a folder).
 * @throws InsulaError `fast/missing-file`, `fast/json`, `fast/tokenizer-json`, `fast/config`; `hub/…` naming repository,
 *   revision and file: `offline`, `not-found`, `denied`, `network`, `corrupt`, `missing-file`, `response`, `revision`,
 *   `token`, `file-size`.
 */
export async function loadFastTokenizer(
  source: string,
  options?: LoadFastOptions,
): Promise<FastActionTokenizer> {
  const folder = await folderOf(source, FAST_FILES, options?.hub);
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
 * A text tokenizer from a file: a SentencePiece `.model`, a Hugging Face `tokenizer.json`, or a byte tokenizer's JSON; or
 * from a repository of the Hugging Face hub (its `tokenizer_config.json` names the special tokens).
 * @param source a file; or, where there is none, a repository as in {@link loadFastTokenizer}.
 * @throws InsulaError `text/missing-file`, `text/json`, `text/sentencepiece`, `text/tokenizer-json`,
 *   `text/byte-tokenizer`; `hub/…` as {@link loadFastTokenizer}.
 */
export async function loadTextTokenizer(
  source: string,
  options: LoadTextOptions = {},
): Promise<TextTokenizer> {
  const repo = (await isThere(source)) ? undefined : parseRepo(source);
  if (repo) return textTokenizerOf(repo, options);
  if (!source.endsWith(".json")) return sentencePieceTokenizer(await readBytes(source, "text"), source);
  const json = await readJson(source, "text");
  const type = (json as { type?: unknown } | null)?.type;
  return type === "insula-byte-tokenizer" ? parseByteTokenizer(json) : hfTextTokenizer(json, options);
}

async function textTokenizerOf(repo: HubRepo, options: LoadTextOptions): Promise<TextTokenizer> {
  const { hub } = options;
  const file = hub?.file ?? "tokenizer.json";
  const first = await snapshotOf(repo, [file, "tokenizer_config.json"], hub);
  if (!first.found.has(file)) {
    const model = "tokenizer.model";
    const { folder, found } = hub?.file ? first : await snapshotOf(repo, [model], hub);
    if (!found.has(model)) throw missing(repo, hub, [hub?.file ?? `${file} or ${model}`]);
    return loadTextTokenizer(join(folder, model), options);
  }
  const named = first.found.has("tokenizer_config.json") && file.endsWith(".json") && !options.config;
  const config = named ? await readJson(join(first.folder, "tokenizer_config.json"), "text") : options.config;
  return loadTextTokenizer(join(first.folder, file), {
    ...options,
    config: config as Record<string, unknown> | undefined,
  });
}

const FAST_FILES = ["tokenizer.json", "bpe_tokenizer/tokenizer.json", "processor_config.json"];

/** The folder of a FAST tokenizer: the source itself, or a snapshot of the repository that it names. */
async function folderOf(
  source: string,
  files: readonly string[],
  hub: HubOptions | undefined,
): Promise<string> {
  const repo = (await isThere(source)) ? undefined : parseRepo(source);
  if (!repo) return source;
  const { folder, found } = await snapshotOf(repo, files, hub);
  if (found.has("processor_config.json") && found.size > 1) return folder;
  throw missing(
    repo,
    hub,
    found.has("processor_config.json") ? ["tokenizer.json"] : ["processor_config.json"],
  );
}

/** A mistyped path looks like a repository: errors say that there is no such path either. */
async function snapshotOf(
  repo: HubRepo,
  files: readonly string[],
  hub: HubOptions | undefined,
): Promise<HubSnapshot> {
  try {
    return await hubSnapshot(repo, files, hub);
  } catch (error) {
    if (!(error instanceof InsulaError)) throw error;
    throw new InsulaError(error.code, `${error.message}; nor is there such a path here`, {
      cause: error.cause,
    });
  }
}

function missing(repo: HubRepo, hub: HubOptions | undefined, files: readonly string[]): InsulaError {
  const revision = repo.revision ?? hub?.revision ?? "main";
  return new InsulaError(
    "hub/missing-file",
    `${repo.repo} at ${revision}: no ${files.join(", ")} in the repository; nor is there such a path here`,
  );
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
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
