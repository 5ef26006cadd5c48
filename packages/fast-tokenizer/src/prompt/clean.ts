/**
 * @file Prompt text as openpi's `models/tokenizer.py` writes it: cleaning, and the state as bin numbers.
 */
import { InsulaError } from "@insula/model-types";

/** A robot state, normalised to about −1…1: a typed array or a list of numbers. */
export type StateVector = ArrayLike<number>;

/** What Python's `str.strip` takes for white space (JavaScript's `trim` differs in U+001C…U+001F, U+0085, U+FEFF). */
const SPACE = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const EDGES = new RegExp(`^${SPACE}+|${SPACE}+$`, "g");

/** `PaligemmaTokenizer`'s cleaning: strip, underscores and newlines to spaces. */
export function cleanPrompt(prompt: string): string {
  return prompt.replace(EDGES, "").replaceAll("_", " ").replaceAll("\n", " ");
}

/** `FASTTokenizer`'s: lower case, strip, underscores to spaces; newlines stay. */
export function cleanFastPrompt(prompt: string): string {
  return prompt.toLowerCase().replace(EDGES, "").replaceAll("_", " ");
}

/**
 * The bin of a normalised state value: `digitize(x, linspace(-1, 1, 257)[:-1]) - 1` in closed form. ×128 is exact in
 * floating point, which `(x + 1) · 128` is not. Below −1: −1; from 1 on, and NaN: 255.
 */
export function stateBin(x: number): number {
  const bin = Math.floor(x * 128) + 128;
  if (bin >= -1) return Math.min(bin, 255);
  return Number.isNaN(bin) ? 255 : -1;
}

/**
 * The bins of a state, joined by spaces, as the prompt spells them.
 * @throws InsulaError `tokenizer/state` when it is not a vector of numbers.
 */
export function stateText(state: StateVector): string {
  const isVector = typeof state === "object" && state !== null && Number.isInteger(state.length);
  if (!isVector || (state.length > 0 && typeof state[0] !== "number")) {
    throw new InsulaError("tokenizer/state", `tokenizer: state: expected a vector, found ${describe(state)}`);
  }
  return Array.from(state, stateBin).join(" ");
}

function describe(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  return "shape" in value ? "an NdArray (pass its data)" : (value.constructor?.name ?? "an object");
}

/** The text that `PaligemmaTokenizer` makes of a prompt and a state (pi0.5). */
export function pi05Prefix(prompt: string, state: StateVector): string {
  return `Task: ${cleanPrompt(prompt)}, State: ${stateText(state)};\nAction: `;
}

/** The prompt part of `FASTTokenizer` and `BinningTokenizer`. */
export function fastPrefix(prompt: string, state: StateVector): string {
  return `Task: ${cleanFastPrompt(prompt)}, State: ${stateText(state)};\n`;
}
