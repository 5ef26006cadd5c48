/**
 * @file The same codec through `@huggingface/tokenizers`: for files that go beyond plain byte-level BPE
 * (a normaliser, added tokens …), and in tests as the second opinion.
 */
import { Tokenizer } from "@huggingface/tokenizers";
import { InsulaError } from "@insula/model-types";
import { BYTE_CHARS, writeUtf8 } from "./byte-level.js";
import { decodeLossy, decodeSymbols, type SymbolCodec } from "./codec.js";
import type { BpeTables } from "./tables.js";

/**
 * A codec that encodes through strings.
 * @param tokenizerJson contents of `tokenizer.json`.
 * @throws InsulaError `fast/tokenizer-json` when the library refuses the file.
 */
export function makeReferenceCodec(tokenizerJson: unknown, tables: BpeTables): SymbolCodec {
  const tokenizer = openTokenizer(tokenizerJson);
  let ids = new Int32Array(0);
  const unit = new Uint8Array(4);
  return {
    vocabSize: tables.vocabSize,
    get ids(): Int32Array {
      return ids;
    },
    encode(symbols: Int32Array, count: number, drop: boolean): number {
      let text = "";
      for (let i = 0; i < count; i++) {
        text += String.fromCodePoint(symbols[i]!);
        if (drop) continue;
        const bytes = writeUtf8(symbols[i]!, unit, 0);
        for (let b = 0; b < bytes; b++) {
          if (tokenizer.token_to_id(BYTE_CHARS[unit[b]!]!) === undefined) return -1 - i;
        }
      }
      const encoded = text ? typed(() => tokenizer.encode(text, { add_special_tokens: false }).ids) : [];
      // Without an unknown token the library leaves holes where Rust leaves nothing.
      ids = Int32Array.from(encoded.filter((id: number | undefined | null) => id != null));
      return ids.length;
    },
    decode: (encoded, symbols) => decodeSymbols(tables, encoded, symbols),
    decodeLossy: (encoded) => decodeLossy(tables, encoded),
  };
}

function openTokenizer(json: unknown): Tokenizer {
  return typed(() => new Tokenizer({ added_tokens: [], ...(json as object) }, {}));
}

/** What the library throws, as ours: files that it only finds wrong when it uses them. */
function typed<T>(run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw new InsulaError(
      "fast/tokenizer-json",
      `tokenizer.json: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
}
