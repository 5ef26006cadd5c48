/** @file Text tokenizers from Hugging Face's `tokenizer.json`, through `@huggingface/tokenizers`. */
import { Tokenizer } from "@huggingface/tokenizers";
import { InsulaError } from "@insula/model-types";
import { show } from "../show.js";
import { checkId, withSpecials } from "./special.js";
import type { TextTokenizer } from "./text-tokenizer.js";

/** Where to find the special tokens, which `tokenizer.json` lists without saying which one begins or ends a text. */
export interface HfTextOptions {
  /** Contents of `tokenizer_config.json`, if there is one: names the special tokens. */
  config?: Record<string, unknown>;
  /** Special tokens by name, before those of `config` and the usual names. */
  bosToken?: string;
  eosToken?: string;
  padToken?: string;
}

const USUAL = {
  bos: ["<bos>", "<s>", "<|begin_of_text|>"],
  eos: ["<eos>", "</s>", "<|end_of_text|>", "<|endoftext|>"],
  pad: ["<pad>", "[PAD]"],
} as const;

/**
 * A tokenizer from the contents of a `tokenizer.json`. Its post-processor's special tokens are left out: `encode` adds
 * what is asked for.
 * @throws InsulaError `text/tokenizer-json` when the library refuses it, at once or in use.
 */
export function hfTextTokenizer(tokenizerJson: unknown, options: HfTextOptions = {}): TextTokenizer {
  const tokenizer = typed(() => new Tokenizer(tokenizerJson as object, options.config ?? {}));
  const named = (kind: "bos" | "eos" | "pad"): string | undefined => {
    const own = options[`${kind}Token`];
    if (own !== undefined) return own;
    const configured = options.config?.[`${kind}_token`];
    if (typeof configured === "string") return configured;
    const content = (configured as { content?: unknown } | null | undefined)?.content;
    return typeof content === "string" ? content : undefined;
  };
  const special = (kind: "bos" | "eos" | "pad"): number => {
    const name = named(kind);
    for (const token of name === undefined ? USUAL[kind] : [name]) {
      const id = tokenizer.token_to_id(token);
      if (Number.isInteger(id)) return id!;
    }
    return -1;
  };
  const bosId = special("bos");
  const eosId = special("eos");
  const padId = special("pad");
  let vocabSize = 0;
  for (const id of typed(() => tokenizer.get_vocab()).values()) {
    if (!(Number.isInteger(id) && id >= 0)) {
      throw new InsulaError(
        "text/tokenizer-json",
        `tokenizer.json: expected natural numbers as ids, found ${show(id)}`,
      );
    }
    vocabSize = Math.max(vocabSize, id + 1);
  }

  return {
    vocabSize,
    bosId,
    eosId,
    padId,
    encode(text, encodeOptions): number[] {
      const ids = text ? typed(() => [...tokenizer.encode(text, { add_special_tokens: false }).ids]) : [];
      return withSpecials(ids, { bosId, eosId }, encodeOptions);
    },
    decode(ids): string {
      const list = [...ids];
      for (const id of list) checkId(id, vocabSize);
      if (list.length === 0) return "";
      return typed(() =>
        tokenizer.decode(list, { skip_special_tokens: true, clean_up_tokenization_spaces: false }),
      );
    },
    pieceToId: (piece) => tokenizer.token_to_id(piece),
  };
}

/** What the library throws, as ours: some files it only finds wrong when it uses them. */
function typed<T>(run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw new InsulaError(
      "text/tokenizer-json",
      `tokenizer.json: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
}
