/**
 * @file What all action tokenizers have in common: a chunk to ids, ids to a chunk. `FastActionTokenizer` is one, so are
 * bins and the FSQ autoencoder; the prompts around them are made alike.
 */
import type { NdArray } from "@insula/model-types";

/** Actions to ids and back. */
export interface ActionCodec {
  /** Number of ids: one more than the largest. */
  readonly vocabSize: number;
  /**
   * @param actions `[horizon, dim]`, normalised.
   * @returns ids, each `0 … vocabSize - 1`.
   * @throws InsulaError `fast/…` naming what cannot be encoded.
   */
  encode(actions: NdArray): Int32Array;
  /**
   * @param ids as {@link encode} returned them.
   * @returns `[horizon, dim]`, normalised.
   * @throws InsulaError `fast/…` when the ids are no chunk of that shape.
   */
  decode(ids: ArrayLike<number>, shape: ChunkShape): { actions: NdArray<Float64Array> };
}

/** Steps of a chunk, numbers per step. */
export interface ChunkShape {
  horizon: number;
  dim: number;
}
