/**
 * @file The FAST tokenizer of the sample data, fitted on the action chunks of its training episodes as the trainer
 * will feed them: 50 steps, clamped at the episode's end, normalised by quantiles.
 */
import { type FittedFastTokenizer, fitFastTokenizer } from "@insula/fast-tokenizer";
import { type NdArray, ndarray } from "@insula/model-types";
import { actionChunk, normalizeQuantiles, type Quantiles, quantilesOf } from "./action-chunks.js";
import { ACTION_DIM, type Episode } from "./episode.js";
import { sampleDataSplits } from "./splits.js";

/** Actions per chunk, π0.5's default horizon. */
export const CHUNK_HORIZON = 50;
/** Ids of the FAST tokenizer: a model this small has few embedding rows to spend. */
export const FAST_VOCAB_SIZE = 512;
/**
 * Coefficients are rounded to quarters: 42 ids per chunk in the mean (99 %: 82). FAST's default of tenths takes 69 (126), for
 * digits that no model of this size predicts.
 */
export const FAST_SCALE = 4;
const FIT_STRIDE = 3; // neighbouring chunks are nearly equal: every third one fits as well in a third of the time

/** Quantiles of the action chunks of `episodes`, as `norm-stats` counts them: each frame once per chunk it is in. */
export function chunkQuantiles(episodes: readonly Episode[]): Quantiles {
  return quantilesOf(
    episodes.flatMap((e) => chunksOf(e).map((chunk) => chunk.data)),
    ACTION_DIM,
  );
}

/** Every chunk `[50, 8]` of `episode`, one per frame, normalised by `quantiles`. */
export function normalizedChunks(episode: Episode, quantiles: Quantiles): NdArray<Float32Array>[] {
  return chunksOf(episode).map(({ data, shape }) => ndarray(normalizeQuantiles(data, quantiles), shape));
}

function chunksOf({ actions, frames }: Episode): NdArray<Float32Array>[] {
  return Array.from({ length: frames }, (_, t) => actionChunk(actions, ACTION_DIM, t, CHUNK_HORIZON));
}

/** Fit on the training episodes among `episodes`, all of which must be given in order. */
export function fitSampleFast(episodes: readonly Episode[]): FittedFastTokenizer {
  const { train } = sampleDataSplits(episodes.length);
  const seen = train.map((i) => episodes[i]!);
  const quantiles = chunkQuantiles(seen);
  const chunks = seen.flatMap((e) => normalizedChunks(e, quantiles)).filter((_, i) => i % FIT_STRIDE === 0);
  return fitFastTokenizer(chunks, {
    vocabSize: FAST_VOCAB_SIZE,
    scale: FAST_SCALE,
    byteAlphabet: true,
  });
}
