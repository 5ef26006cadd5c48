/** The FAST tokenizers of the shared data, and small helpers to compare with them. */
import type { NdArray } from "@insula/model-types";
import { sharedJson, sharedTensors } from "@insula/test-kit";
import { FastActionTokenizer, type FastTokenizerFiles, type FastTokenizerOptions } from "../src/index.js";

export const FITTED = [
  "fast_act_sim",
  "fast_calvin_abcd_a10_s50",
  "fast_calvin_abcd_a5_s50",
  "fast_calvin_norm_a10_s50",
  "fast_libero_all_t10_s50",
] as const;

export interface FastGoldens {
  scale: number;
  vocab_size: number;
  min_token: number;
  corpus_order: string[];
  cases: { i: number; kind: string; n_tokens: number; decode_ok: boolean; max_abs_err: number }[];
  arbitrary_decode: { tokens: number[]; codepoints: number[] }[];
}

export function fastFiles(folder: string): FastTokenizerFiles {
  return {
    tokenizer: sharedJson(`${folder}/tokenizer.json`),
    config: sharedJson(`${folder}/processor_config.json`),
  };
}

export function fastPlus(options?: FastTokenizerOptions): FastActionTokenizer {
  return new FastActionTokenizer(fastFiles("data/fast_plus"), options);
}

export function goldenBpe(vocabSize: 1024 | 2048): { files: FastTokenizerFiles; goldens: FastGoldens } {
  const folder = `golden/public/fast/bpe${vocabSize}`;
  const goldens = sharedJson<FastGoldens>(`${folder}/goldens.json`);
  const { scale, min_token } = goldens;
  return {
    files: { tokenizer: sharedJson(`${folder}/tokenizer.json`), config: { scale, min_token } },
    goldens,
  };
}

/** The chunks that bpe1024 and bpe2048 were fitted on, in order. */
export function corpusChunks(order: readonly string[]): NdArray[] {
  const corpus = sharedTensors("golden/public/fast/corpus.safetensors");
  return order.flatMap((key) => {
    const { data, shape } = corpus.get(key)!;
    const [n, horizon, dim] = shape as [number, number, number];
    const size = horizon * dim;
    return Array.from({ length: n }, (_, i) => ({
      data: data.subarray(i * size, (i + 1) * size),
      shape: [horizon, dim],
    }));
  });
}

export function chunkKey(i: number): string {
  return `c${String(i).padStart(3, "0")}`;
}

/** A small deterministic generator, uniform in 0…1 (mulberry32). */
export function random(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A smooth random walk `[horizon, dim]`, clipped to −1…1, as normalised actions are. */
export function smoothChunk(horizon: number, dim: number, next: () => number): NdArray<Float64Array> {
  const data = new Float64Array(horizon * dim);
  for (let d = 0; d < dim; d++) {
    let x = 2 * next() - 1;
    for (let t = 0; t < horizon; t++) {
      data[t * dim + d] = Math.max(-1, Math.min(1, x));
      x += 0.2 * (next() - 0.5);
    }
  }
  return { data, shape: [horizon, dim] };
}
