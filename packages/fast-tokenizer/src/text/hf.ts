/** @file Text tokenizers from Hugging Face's `tokenizer.json`, through `@huggingface/tokenizers`. */
import { Tokenizer } from "@huggingface/tokenizers";
import { InsulaError } from "@insula/model-types";
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
 * @throws InsulaError `text/tokenizer-json` when the library refuses it.
 */
export function hfTextTokenizer(tokenizerJson: unknown, options: HfTextOptions = {}): TextTokenizer {
  const tokenizer = open(tokenizerJson, options.config ?? {});
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
      if (id !== undefined) return id;
    }
    return -1;
  };
  const bosId = special("bos");
  const eosId = special("eos");
  const padId = special("pad");
  let vocabSize = 0;
  for (const id of tokenizer.get_vocab().values()) vocabSize = Math.max(vocabSize, id + 1);

  return {
    vocabSize,
    bosId,
    eosId,
    padId,
    encode(text, encodeOptions): number[] {
      const ids = text ? [...tokenizer.encode(text, { add_special_tokens: false }).ids] : [];
      return withSpecials(ids, { bosId, eosId }, encodeOptions);
    },
    decode(ids): string {
      const list = [...ids];
      for (const id of list) checkId(id, vocabSize);
      if (list.length === 0) return "";
      return tokenizer.decode(list, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
    },
    pieceToId: (piece) => tokenizer.token_to_id(piece),
  };
}

function open(json: unknown, config: Record<string, unknown>): Tokenizer {
  try {
    return new Tokenizer(json as object, config);
  } catch (cause) {
    throw new InsulaError(
      "text/tokenizer-json",
      `tokenizer.json: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
}
