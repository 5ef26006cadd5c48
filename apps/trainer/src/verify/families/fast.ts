/** @file Goldens of fitted FAST tokenizers: fitting itself, chunks, and the decoding of arbitrary tokens. */
import { type FastActionTokenizer, fitFastTokenizer } from "@insula/fast-tokenizer";
import type { NdArray } from "@insula/model-types";
import { type FileTensor, readSafetensors } from "@insula/safetensors";
import { putChunks, upstreamTokenizer } from "../fast/chunks.js";
import { EXACT } from "../tolerance.js";
import { missingInput, type Unit } from "../unit.js";
import { claimFiles, type Family } from "./family.js";

const FILE = "goldens.safetensors";
const INDEX = "goldens.json";
const TOKENIZER = "tokenizer.json";

interface Index {
  scale?: number;
  vocab_size?: number;
  min_token?: number;
  corpus_order?: readonly string[];
  arbitrary_decode?: readonly { tokens: readonly number[]; codepoints?: readonly number[] }[];
}

export const fastFamily: Family = {
  name: "fast",
  claim(dir, files) {
    if (!files.includes(TOKENIZER) && !/(^|\/)bpe\d+$/.test(dir)) return [];
    return claimFiles([FILE, INDEX, TOKENIZER], [FILE, INDEX])(dir, files);
  },
  async verify(unit) {
    const index = unit.json(INDEX) as Index;
    unit.used(INDEX, "versions", "scale", "vocab_size", "time_axis", "corpus_order");
    unit.used(INDEX, "chunks_encoded_in_float32_give_different_tokens"); // the reference compared with itself
    const { scale = 10, min_token } = index;
    if (!unit.has(TOKENIZER)) throw missingInput(TOKENIZER);
    if (min_token === undefined) throw missingInput(`'min_token' in ${INDEX}`);
    await putFit(unit, index, scale);
    const fast = upstreamTokenizer(unit.json(TOKENIZER), { scale, min_token });
    unit.putValue(INDEX, ["actual_vocab_size"], fast.vocabSize, EXACT);
    const chunks = unit.tensors(FILE);
    for (const name of chunks.keys()) if (name.endsWith("/actions")) unit.used(FILE, name);
    putChunks(unit, fast, chunks, "goldens");
    putArbitrary(unit, fast, index.arbitrary_decode ?? []);
  },
};

/** Fit on the corpus: the file must come out the same, key by key. */
async function putFit(unit: Unit, index: Index, scale: number): Promise<void> {
  let corpus: Map<string, FileTensor>;
  try {
    corpus = await readSafetensors(unit.path("..", "corpus.safetensors"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    unit.skip(TOKENIZER, undefined, "needs ../corpus.safetensors, which is not there");
    unit.used(INDEX, "min_token", "max_token");
    return;
  }
  const chunks = (index.corpus_order ?? [...corpus.keys()]).flatMap((name) => split(corpus.get(name)!));
  const { tokenizer, config } = fitFastTokenizer(chunks, { vocabSize: index.vocab_size ?? 1024, scale });
  for (const [key, value] of Object.entries(tokenizer)) unit.putValue(TOKENIZER, [key], value, EXACT);
  unit.putValue(INDEX, ["min_token"], config.min_token, EXACT);
  const fitted = upstreamTokenizer(tokenizer, config);
  const highest = chunks.reduce(
    (max, chunk) => fitted.quantize(chunk).reduce((a, b) => Math.max(a, b), max),
    -Infinity,
  );
  unit.putValue(INDEX, ["max_token"], highest, EXACT);
}

/** `[n, h, d]` → n chunks `[h, d]`. */
function split({ data, shape }: NdArray): NdArray[] {
  const [n, h, d] = shape as [number, number, number];
  const size = h * d;
  return Array.from({ length: n }, (_, i) => ({
    data: data.subarray(i * size, (i + 1) * size),
    shape: [h, d],
  }));
}

/** Any tokens, also ones without a meaning, to the characters that the reference makes of them. */
function putArbitrary(
  unit: Unit,
  fast: FastActionTokenizer,
  cases: NonNullable<Index["arbitrary_decode"]>,
): void {
  unit.used(INDEX, "arbitrary_decode");
  for (const [i, { tokens, codepoints }] of cases.entries()) {
    const found = codePoints(fast, tokens, codepoints?.length);
    unit.putValue(INDEX, ["arbitrary_decode", String(i), "codepoints"], found, EXACT, {
      group: "goldens/arbitrary_decode/*",
    });
  }
}

/**
 * Code points of tokens. A chunk of one step is its own transform, so decoded as one it shows each character.
 * @param count how many to expect; when there are others, the result is empty.
 */
function codePoints(fast: FastActionTokenizer, tokens: readonly number[], count = 0): number[] {
  if (count === 0)
    return fast.decode(tokens, { horizon: 1, dim: 1, onError: "status" }).status === "wrong-count"
      ? []
      : [-1];
  const { actions, message } = fast.decode(tokens, { horizon: 1, dim: count, onError: "upstream" });
  const points = Array.from(actions.data, (a) => Math.round(a * fast.scale) - fast.minToken);
  // Zeros stand for a wrong number of characters.
  return message !== undefined && actions.data.every((a) => a === 0) ? [] : points;
}
