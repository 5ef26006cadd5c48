/**
 * @file The whole pieces of the sample data's byte-level text tokenizer. FASTTokenizer (openpi `models/tokenizer.py`)
 * encodes `Task: {task}, State: {bins};\n`, `Action: ` and `|` in separate calls, π0.5's prompt is one call: no piece
 * reaches across those seams, so both give the same ids.
 */
import { COLORS, SHAPES } from "./scene.js";

/** Frequent words of tabletop instructions, beside those the sample data itself uses. */
const WORDS = [
  ..."the a an to of in on into onto from up down left right and it with".split(" "),
  ..."reach pick move put place take push pull turn open close grasp lift".split(" "),
  ..."cup bowl plate box block drawer table lid bottle towel object".split(" "),
  ..."black white yellow top bottom middle".split(" "),
];

/** Every piece: prompt syntax, the 257 state bins (−1 is "below q01") and words, each with its leading space. */
export function textPieces(): string[] {
  const bins = Array.from({ length: 257 }, (_, i) => ` ${i - 1}`);
  const words = [...WORDS, ...COLORS, ...SHAPES].map((word) => ` ${word}`);
  return [...new Set(["Task:", ", State:", ";\n", "Action: ", ...bins, ...words])];
}
