/**
 * @file Actions to a few ids by a small attention autoencoder with finite scalar quantisation, the learnt tokenizer of the
 * FAST paper's comparison (openpi `models/utils/fsq_tokenizer.py`, `FsqAttentionTokenizer`): inference of both halves.
 */
import { InsulaError, type NdArray } from "@insula/model-types";
import type { ActionCodec, ChunkShape } from "../action-codec.js";
import { checkChunk } from "../dct.js";
import { codePlaces, idsOfPlaces, rowsOfIds } from "./codebook.js";
import { type FsqConfig, fsqHeads, parseFsqConfig } from "./config.js";
import { dense } from "./layers.js";
import { denseOf, type FsqParams, fsqWeights, type Weights } from "./params.js";
import { runStack } from "./stack.js";

/** Configuration and weights of an FSQ tokenizer. */
export interface FsqFiles {
  /** The `config` of openpi's checkpoint. */
  config: FsqConfig;
  /** Its `params`, named as {@link fsqParamShapes} names them. */
  params: FsqParams;
}

/** FSQ encoder and decoder of chunks of one shape. */
export class FsqActionTokenizer implements ActionCodec {
  readonly config: Required<FsqConfig>;
  readonly vocabSize: number;
  /** What it was made from. */
  readonly files: FsqFiles;
  readonly #weights: Weights;

  /** @throws InsulaError `fast/fsq-config`, `fast/fsq-params` naming field or tensor. */
  constructor(files: FsqFiles) {
    const { config, params } = files;
    this.files = files;
    this.config = parseFsqConfig(config);
    this.vocabSize = this.config.target_codebook_size;
    this.#weights = fsqWeights(this.config, params);
  }

  /**
   * Encode one chunk.
   * @param actions `[data_horizon, data_dim]`, normalised.
   * @returns `[num_tokens]` ids.
   * @throws InsulaError `fast/shape`, `fast/dtype`, `fast/not-finite`.
   */
  encode(actions: NdArray): Int32Array {
    return idsOfPlaces({ data: this.places(actions).data, width: 2 }, this.vocabSize);
  }

  /**
   * Where the encoder puts a chunk before it is rounded: how near ids are to others.
   * @returns `[num_tokens, 2]`, each in −1…1.
   * @throws InsulaError as {@link encode}.
   */
  places(actions: NdArray): NdArray<Float32Array> {
    const { data, horizon, dim } = checkChunk(actions, "fast");
    this.#checkShape({ horizon, dim });
    const { bound, num_tokens, data_dim } = this.config;
    const input = Float32Array.from(data, (x: number, i) => {
      if (Number.isFinite(x)) return bound === null ? x : Math.min(Math.max(x, -bound), bound);
      throw new InsulaError("fast/not-finite", `fsq: actions[${Math.floor(i / dim)}, ${i % dim}] is ${x}`);
    });
    const rows = dense({ data: input, width: data_dim }, denseOf(this.#weights, "proj"));
    const places = codePlaces(this.#run("encoder", rows), this.#weights);
    return { data: places.data, shape: [num_tokens, 2] };
  }

  /**
   * Decode the ids of one chunk.
   * @param ids `[num_tokens]`.
   * @param shape that of the configuration; anything else is an error.
   * @returns `[data_horizon, data_dim]`, normalised.
   * @throws InsulaError `fast/shape`, `fast/wrong-count`, `fast/out-of-vocabulary`.
   */
  decode(
    ids: ArrayLike<number>,
    shape: ChunkShape = { horizon: this.config.data_horizon, dim: this.config.data_dim },
  ): { actions: NdArray<Float64Array> } {
    this.#checkShape(shape);
    const { num_tokens } = this.config;
    if (ids.length !== num_tokens) {
      throw new InsulaError("fast/wrong-count", `fsq: ${ids.length} ids, expected ${num_tokens}`);
    }
    const known = (id: number): boolean => Number.isInteger(id) && id >= 0 && id < this.vocabSize;
    const unknown = Array.from(ids).findIndex((id) => !known(id));
    if (unknown >= 0) {
      throw new InsulaError(
        "fast/out-of-vocabulary",
        `fsq: id ${ids[unknown]} at ${unknown} is not in the vocabulary (0…${this.vocabSize - 1})`,
      );
    }
    const rows = this.#run("decoder", rowsOfIds(ids, this.vocabSize, this.#weights));
    const mean = dense(rows, denseOf(this.#weights, "proj_mean"));
    const scale = this.#weights("out_scale")[0]!;
    const data = Float64Array.from(mean.data, (x) => Math.fround(x * scale));
    return { actions: { data, shape: [shape.horizon, shape.dim] } };
  }

  #run(name: "encoder" | "decoder", rows: Parameters<typeof runStack>[1]): ReturnType<typeof runStack> {
    const { num_layers: layers, embed_dim, causal } = this.config;
    return runStack(name, rows, this.#weights, { layers, heads: fsqHeads(embed_dim), causal });
  }

  #checkShape({ horizon, dim }: ChunkShape): void {
    const { data_horizon, data_dim } = this.config;
    if (horizon === data_horizon && dim === data_dim) return;
    throw new InsulaError(
      "fast/shape",
      `fsq: expected a chunk [${data_horizon}, ${data_dim}], which this tokenizer was trained on, found [${horizon}, ${dim}]`,
    );
  }
}
