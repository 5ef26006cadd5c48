/** @file One tokenised sample, token by token: what each id stands for, coefficients included. */
import {
  type ActionCodec,
  type FastActionTokenizer,
  resolveVocabulary,
  type TextTokenizer,
  type TokenizedPrompt,
  type TokenizedSequence,
} from "@insula/fast-tokenizer";
import type { ModelConfig } from "@insula/model-types";
import type { ActionTokens, Tokenizers } from "../data/tokenizers.js";

/** A row of the table. Padding is one row for all of it. */
export interface TokenRow {
  position: number;
  id: number;
  /** Action tokens are of the action tokenizer's type. */
  kind: "text" | "special" | "pad" | ActionTokens["type"];
  /** The text, the name of a special id, what of the actions it holds, or how many ids of padding. */
  piece: string;
  /** Which attention: both ways, causal, none. */
  attention: "prefix" | "causal" | "none";
  /** Whether the FAST loss asks for it. */
  loss: boolean;
}

/** The rows of `tokens`, of chunks `[horizon, dim]`. */
export function tokenTable(
  tokens: TokenizedPrompt | TokenizedSequence,
  { tokenizers, model, dim }: { tokenizers: Tokenizers; model: ModelConfig; dim: number },
): TokenRow[] {
  const { text, actions } = tokenizers;
  const real = tokens.tokenMask.lastIndexOf(1) + 1;
  const sequence = "arMask" in tokens ? tokens : undefined;
  const first = actions ? actionRow(model, actions.codec, text) : 0;
  const meaning = actions && sequence ? meaningOf(actions, dim) : undefined;
  const rows: TokenRow[] = [];
  for (let position = 0; position < real; position++) {
    const id = tokens.tokens[position]!;
    const causal = sequence?.arMask[position] === 1;
    const actionId = first - id;
    const isAction = actions !== undefined && causal && actionId >= 0 && actionId < actions.codec.vocabSize;
    const special = isAction ? undefined : specialName(text, id);
    rows.push({
      position,
      id,
      kind: isAction ? actions.type : special ? "special" : "text",
      piece: isAction ? `${actionId}: ${meaning!(actionId)}` : (special ?? JSON.stringify(text.decode([id]))),
      attention: causal ? "causal" : "prefix",
      loss: sequence?.lossMask[position] === 1,
    });
  }
  const padding = tokens.tokens.length - real;
  if (padding > 0) {
    const id = tokens.tokens[real]!;
    const piece = `× ${padding}`;
    rows.push({ position: real, id, kind: "pad", piece, attention: "none", loss: false });
  }
  return rows;
}

/** The embedding row of action id 0. */
function actionRow(model: ModelConfig, codec: ActionCodec, text: TextTokenizer): number {
  const { vocabSize: rows, fastSkipTokens } = model;
  const sizes = { textVocabSize: text.vocabSize, fastVocabSize: codec.vocabSize };
  return resolveVocabulary({ ...sizes, rows, fastSkipTokens, allowOverlap: true }).fastIdFirst;
}

function specialName(text: TextTokenizer, id: number): string | undefined {
  if (id === text.bosId) return "<bos>";
  if (id === text.eosId) return "<eos>";
  return id === text.padId ? "<pad>" : undefined;
}

/** Called with one action id after the other, says what each holds. */
function meaningOf(actions: ActionTokens, dim: number): (id: number) => string {
  switch (actions.type) {
    case "fast":
      return actionDecoder(actions.codec, dim);
    case "binning":
      return binDecoder(actions.codec, dim);
    case "fsq":
      // An id means something only together with the others.
      return placeOf(actions.codec.config.num_tokens);
  }
}

/** `2 of 16` */
function placeOf(count: number): (id: number) => string {
  let at = 0;
  return () => `${++at} of ${count}`;
}

/** `t0 d3: -0.5` is step 0 of dimension 3. */
function binDecoder(codec: ActionCodec, dim: number): (id: number) => string {
  let at = 0;
  return (id) => {
    const place = `t${Math.floor(at / dim)} d${at % dim}`;
    at += 1;
    return `${place}: ${codec.decode([id], { horizon: 1, dim: 1 }).actions.data[0]}`;
  };
}

/**
 * Called with one action id after the other, says which coefficients each holds: `f0 d3: 12 -1 0×5` begins at
 * frequency 0 of dimension 3. An id may end inside of a coefficient; the next one that completes it says so.
 */
export function actionDecoder(fast: FastActionTokenizer, dim: number): (id: number) => string {
  let at = 0;
  let pending: number[] = [];
  return (id) => {
    pending.push(id);
    const coefficients = coefficientsOf(fast, pending);
    if (!coefficients) return "… (ends inside of a coefficient)";
    pending = [];
    const from = `f${Math.floor(at / dim)} d${at % dim}`;
    at += coefficients.length;
    return `${from}: ${runs(coefficients)}`;
  };
}

/** The coefficients that `ids` spell; undefined when they are not whole characters. */
function coefficientsOf(fast: FastActionTokenizer, ids: readonly number[]): Int32Array | undefined {
  // Ids do not say how many coefficients they hold: a wrong count is told apart from a cut character.
  for (let n = 1; n <= MAX_PER_TOKEN; n++) {
    const { status } = fast.decode(ids, { horizon: 1, dim: n, onError: "status" });
    if (status === "ok") return fast.decodeCoefficients(ids, n);
    if (status !== "wrong-count") return undefined;
  }
  return undefined;
}

/** Longer than any published token (3186 symbols). */
const MAX_PER_TOKEN = 4096;

/** `12 -1 0×5` */
function runs(values: ArrayLike<number>): string {
  const out: string[] = [];
  for (let i = 0; i < values.length; ) {
    let end = i + 1;
    while (end < values.length && values[end] === values[i]) end++;
    if (end - i > 2) out.push(`${values[i]}×${end - i}`);
    else for (let k = i; k < end; k++) out.push(String(values[k]));
    i = end;
  }
  return out.join(" ");
}
