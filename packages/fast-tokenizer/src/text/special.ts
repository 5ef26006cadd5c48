/** @file What all text tokenizers share: the begin and end ids around a text, and the check of an id. */
import { InsulaError } from "@insula/model-types";
import type { EncodeTextOptions } from "./text-tokenizer.js";

/**
 * `ids` with the special ids that `options` ask for.
 * @throws InsulaError `text/no-special`.
 */
export function withSpecials(
  ids: number[],
  specials: { bosId: number; eosId: number },
  options: EncodeTextOptions = {},
): number[] {
  const need = (id: number, name: string): number => {
    if (id >= 0) return id;
    throw new InsulaError(
      "text/no-special",
      `text tokenizer: has no ${name} id; name it in the tokenizer's options`,
    );
  };
  if (options.addBos) ids.unshift(need(specials.bosId, "begin-of-sequence"));
  if (options.addEos) ids.push(need(specials.eosId, "end-of-sequence"));
  return ids;
}

/** @throws InsulaError `text/id` unless `id` is in `0 … vocabSize - 1`. */
export function checkId(id: number, vocabSize: number): void {
  if (Number.isInteger(id) && id >= 0 && id < vocabSize) return;
  throw new InsulaError("text/id", `text tokenizer: id ${id} is not in the vocabulary (0…${vocabSize - 1})`);
}
