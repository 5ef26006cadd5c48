/** Real tokenizers fitted to smooth chunks [6, 3], for tests. */
import {
  FastActionTokenizer,
  fitFastTokenizer,
  makeByteTokenizer,
  resolveVocabulary,
} from "@insula/fast-tokenizer";
import type { NdArray } from "@insula/model-types";

const [HORIZON, DIM] = [6, 3];
export const chunk = (seed: number): NdArray<Float64Array> => ({
  data: Float64Array.from({ length: HORIZON * DIM }, (_, i) => Math.sin(seed + i / 3) * 0.9),
  shape: [HORIZON, DIM],
});
export const text = makeByteTokenizer({ pieces: ["Task: ", ", State: ", ";\n", "Action", ":", " ", "|"] });
export const fast = new FastActionTokenizer(
  fitFastTokenizer(
    Array.from({ length: 50 }, (_, i) => chunk(i)),
    { vocabSize: 400, byteAlphabet: true },
  ),
);
export const { vocabSize } = resolveVocabulary({
  textVocabSize: text.vocabSize,
  fastVocabSize: fast.vocabSize,
});
