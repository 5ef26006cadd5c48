/**
 * @file The part of Hugging Face's `tokenizer.json` that a byte-level BPE needs, checked. Merges come as
 * `"a b"` strings (older files) or `["a", "b"]` pairs.
 */
import { InsulaError } from "@insula/model-types";
import { show } from "../show.js";

/** A vocabulary larger than this is not a tokenizer of actions; refused before any table is made. */
export const MAX_VOCAB: number = 1 << 20;

/** A byte-level BPE as plain data. */
export interface BpeModel {
  /** Token string (visible byte characters, or raw characters of a fitted alphabet) → id. */
  vocab: Map<string, number>;
  /** In order of rank. */
  merges: [string, string][];
  /** Whether the GPT-2 pattern splits the text first. */
  splitWords: boolean;
  /** Why the integer path cannot follow this file to the letter; undefined when it can. */
  unsupported?: string;
}

type Json = Record<string, unknown>;

function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Read the contents of a `tokenizer.json`.
 * @throws InsulaError `fast/tokenizer-json` naming what is wrong.
 */
export function parseBpeModel(json: unknown, source = "tokenizer.json"): BpeModel {
  const fail = (problem: string): never => {
    throw new InsulaError("fast/tokenizer-json", `${source}: ${problem}`);
  };
  if (!isRecord(json)) return fail(`expected an object, found ${json === null ? "null" : typeof json}`);
  const { model } = json;
  if (!isRecord(model)) return fail('no "model"');
  if (model["type"] !== undefined && model["type"] !== "BPE")
    return fail(`model.type: expected BPE, found ${show(model["type"])}`);
  if (!isRecord(model["vocab"])) return fail('no "model.vocab"');

  const vocab = new Map<string, number>();
  const owners = new Map<number, string>();
  for (const [token, id] of Object.entries(model["vocab"])) {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= MAX_VOCAB) {
      return fail(`model.vocab: id of ${show(token)}: expected 0…${MAX_VOCAB - 1}, found ${show(id)}`);
    }
    const owner = owners.get(id);
    if (owner !== undefined) {
      return fail(`model.vocab: id ${id} is both ${show(owner)} and ${show(token)}`);
    }
    owners.set(id, token);
    vocab.set(token, id);
  }
  if (vocab.size === 0) return fail("model.vocab is empty");

  if (!Array.isArray(model["merges"])) return fail('no "model.merges"');
  const merges = model["merges"].map((merge: unknown, rank): [string, string] => {
    const parts: unknown = typeof merge === "string" ? merge.split(" ") : merge;
    if (!Array.isArray(parts) || parts.length !== 2 || !parts.every((p) => typeof p === "string")) {
      return fail(`merge ${rank}: expected "a b" or ["a", "b"], found ${show(merge)}`);
    }
    const [a, b] = parts as [string, string];
    for (const token of [a, b, a + b]) {
      if (!vocab.has(token)) fail(`merge ${rank}: ${show(token)} is not in the vocabulary`);
    }
    return [a, b];
  });

  const pre = json["pre_tokenizer"];
  const decoder = json["decoder"];
  if (!isRecord(decoder) || decoder["type"] !== "ByteLevel") return fail("expected a ByteLevel decoder");
  const splitWords = !isRecord(pre) || pre["use_regex"] !== false;
  return { vocab, merges, splitWords, unsupported: unsupported(json, model) };
}

/** What of a file goes beyond plain byte-level BPE. */
function unsupported(json: Json, model: Json): string | undefined {
  const pre = json["pre_tokenizer"];
  if (!isRecord(pre) || pre["type"] !== "ByteLevel") return "pre_tokenizer is not ByteLevel";
  if (pre["add_prefix_space"] === true) return "pre_tokenizer.add_prefix_space";
  if (json["normalizer"] != null) return "normalizer";
  if (Array.isArray(json["added_tokens"]) && json["added_tokens"].length) return "added_tokens";
  for (const key of ["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"]) {
    if (model[key]) return `model.${key}`;
  }
  for (const key of ["byte_fallback", "ignore_merges"]) if (model[key] === true) return `model.${key}`;
  return undefined;
}
