/**
 * @file FAST: actions to tokens (Pertsch et al. 2025, arXiv:2501.09747, §V; Hugging Face's
 * `UniversalActionProcessor`). A chunk goes through a cosine transform over time, is scaled and rounded, read row by
 * row (low frequencies first) as code points `coefficient − min_token`, and those through a byte-level BPE.
 *
 * Same ids as the reference, with two deliberate differences: what the reference turns into wrong numbers or zeros
 * without a word is a typed failure here, and float32 chunks are transformed in float64 (another token only where a
 * coefficient lies on a rounding tie).
 */
import { InsulaError, type NdArray } from "@insula/model-types";
import { MALFORMED, makeSymbolCodec, REPLACEMENT, type SymbolCodec, UNKNOWN_ID } from "./bpe/codec.js";
import { makeReferenceCodec } from "./bpe/reference.js";
import { MAX_PAIR_VOCAB, makeBpeTables } from "./bpe/tables.js";
import { parseBpeModel } from "./bpe/tokenizer-json.js";
import { checkChunk, dctPlan } from "./dct.js";
import { type FastProcessorConfig, type FastTokenizerFiles, parseFastConfig } from "./fast-files.js";

/** Largest chunk, in numbers: a request for more is a mistake, not a robot. */
export const MAX_COEFFICIENTS: number = 1 << 22;

/**
 * What becomes of coefficients that the files cannot represent, and which BPE encodes. No option changes the ids of a
 * chunk that they can.
 */
export interface FastTokenizerOptions {
  /** Coefficients below `min_token`: move them up to it, as the reference does (default), or throw. */
  belowMin?: "clamp" | "throw";
  /**
   * Coefficients with a byte that a fitted alphabet lacks: throw (default), or leave the byte out as the reference
   * does, after which the ids no longer decode to this chunk.
   */
  outOfAlphabet?: "throw" | "drop";
  /** Force a BPE path; by default integers wherever the file allows it, else `@huggingface/tokenizers`. */
  bpe?: "integer" | "reference";
}

/** Why ids do not decode to actions. */
export type DecodeFailure = "out-of-vocabulary" | "malformed" | "wrong-count";

/** The shape to decode to, since ids do not hold it, and what to do with ids that decode to something else. */
export interface DecodeOptions {
  /** Steps of the chunk; by default what the file fixes. */
  horizon?: number;
  /** Numbers per step; by default what the file fixes. */
  dim?: number;
  /**
   * On failure: throw (default); return the status without actions; zeros with the status; or, with the status, exactly
   * what the reference returns: ids without a token skipped, broken characters read as 65533, zeros where the
   * count is still wrong. The last is for comparisons, not for robots.
   */
  onError?: OnDecodeError;
}

/** What a failure to decode becomes; see {@link DecodeOptions.onError}. */
export type OnDecodeError = "throw" | "status" | "zeros" | "upstream";

/** Decoded actions. Zeros stand for them when `status` is a failure. */
export interface Decoded<Failure extends string = DecodeFailure> {
  /** `[horizon, dim]`. */
  actions: NdArray<Float64Array>;
  status: "ok" | Failure;
  /** What was wrong, in words. */
  message?: string;
}

/** A failure, with `onError: "status"`. */
export interface NotDecoded<Failure extends string = DecodeFailure> {
  actions: null;
  status: Failure;
  message: string;
}

/** Adding and subtracting 1.5·2^52 rounds a double to an integer, half to even, as `numpy.around`. */
const ROUND = 6_755_399_441_055_744;
const MAX_CODE_POINT = 0x10ffff;

/** FAST encoder and decoder. One instance may be used for chunks of any shape; it is not re-entrant across threads. */
export class FastActionTokenizer {
  /** Number of ids: one more than the largest. */
  readonly vocabSize: number;
  readonly scale: number;
  /** The smallest coefficient that keeps its value. */
  readonly minToken: number;
  /** Steps per chunk, where the file fixes them. */
  readonly horizon: number | undefined;
  /** Numbers per step, where the file fixes them. */
  readonly dim: number | undefined;
  /** Which BPE encodes. */
  readonly bpe: "integer" | "reference";
  /** What it was made from. */
  readonly files: { tokenizer: unknown; config: FastProcessorConfig };
  readonly #codec: SymbolCodec;
  readonly #clamp: boolean;
  readonly #drop: boolean;
  /** Coefficients of the common symbols, unscaled. */
  readonly #values: Float64Array;
  #coefficients = new Float64Array(1024);
  #symbols = new Int32Array(1024);

  /**
   * @param files contents of `tokenizer.json` and `processor_config.json`.
   * @throws InsulaError `fast/tokenizer-json`, `fast/config`.
   */
  constructor(files: FastTokenizerFiles, options: FastTokenizerOptions = {}) {
    const model = parseBpeModel(files?.tokenizer);
    const config = parseFastConfig(files?.config);
    const tables = makeBpeTables(model);
    const unsupported =
      model.unsupported ?? (tables.vocabSize > MAX_PAIR_VOCAB ? "size of the vocabulary" : undefined);
    if (options.bpe === "integer" && unsupported) {
      throw new InsulaError(
        "fast/tokenizer-json",
        `tokenizer.json: the integer path cannot follow its ${unsupported}; leave out bpe: "integer"`,
      );
    }
    this.bpe = options.bpe ?? (unsupported ? "reference" : "integer");
    this.#codec =
      this.bpe === "integer"
        ? makeSymbolCodec(tables, model.splitWords)
        : makeReferenceCodec(files.tokenizer, tables);
    this.files = { tokenizer: files.tokenizer, config };
    this.vocabSize = tables.vocabSize;
    this.scale = config.scale;
    this.minToken = config.min_token;
    this.#values = Float64Array.from({ length: 1024 }, (_, symbol) => (symbol + this.minToken) / this.scale);
    this.horizon = config.time_horizon ?? undefined;
    this.dim = config.action_dim ?? undefined;
    this.#clamp = options.belowMin !== "throw";
    this.#drop = options.outOfAlphabet === "drop";
  }

  /**
   * Encode one chunk.
   * @param actions `[horizon, dim]`, normalised, of numbers.
   * @returns ids, each `0 … vocabSize - 1`.
   * @throws InsulaError `fast/shape`, `fast/dtype`; `fast/not-finite`, `fast/below-min`, `fast/unencodable`,
   *   `fast/out-of-alphabet` naming the dimension and the value.
   */
  encode(actions: NdArray): Int32Array {
    const { data, horizon, dim } = checkChunk(actions, "fast");
    return this.#encode(data, horizon, dim);
  }

  /**
   * Encode many chunks.
   * @param actions `[batch, horizon, dim]`, or a list of chunks `[horizon, dim]` of any shapes.
   * @throws InsulaError as {@link encode}.
   */
  encodeBatch(actions: NdArray | readonly NdArray[]): Int32Array[] {
    if (Array.isArray(actions)) return actions.map((chunk: NdArray) => this.encode(chunk));
    const { data, shape } = actions as NdArray;
    const [batch, horizon, dim] = shape;
    if (shape.length !== 3) {
      throw new InsulaError(
        "fast/shape",
        `fast: expected a batch [batch, horizon, dim], found [${shape.join(", ")}]`,
      );
    }
    const size = horizon! * dim!;
    return Array.from({ length: batch! }, (_, b) =>
      this.encode({ data: data.subarray(b * size, (b + 1) * size), shape: [horizon!, dim!] }),
    );
  }

  /**
   * The rounded, scaled cosine coefficients of a chunk, `[horizon, dim]` row-major, before any clamping.
   * @throws InsulaError `fast/shape`, `fast/dtype`, `fast/not-finite`, `fast/unencodable`.
   */
  quantize(actions: NdArray): Int32Array {
    const { data, horizon, dim } = checkChunk(actions, "fast");
    this.#transform(data, horizon, dim);
    const out = new Int32Array(data.length);
    for (let i = 0; i < out.length; i++) {
      const q = this.#coefficients[i]!;
      if (!(Math.abs(q) < 2 ** 31)) this.#refuse(q, i, dim, data);
      out[i] = q;
    }
    return out;
  }

  /**
   * Encode integer coefficients as they are.
   * @param coefficients `[horizon · dim]`, row-major.
   * @throws InsulaError as {@link encode}.
   */
  encodeCoefficients(coefficients: ArrayLike<number>): Int32Array {
    this.#reserve(coefficients.length);
    for (let i = 0; i < coefficients.length; i++) this.#coefficients[i] = coefficients[i]!;
    return this.#encodeCoefficients(coefficients.length, coefficients.length);
  }

  /**
   * Decode the ids of one chunk.
   * @param ids as {@link encode} returned them.
   * @returns actions `[horizon, dim]`, float64, in the units that were encoded.
   * @throws InsulaError `fast/shape` when horizon or dim are unknown; unless `onError` says otherwise:
   *   `fast/out-of-vocabulary`, `fast/malformed` (bytes that are no UTF-8: a character was cut, or U+FFFD),
   *   `fast/wrong-count`.
   */
  decode(
    ids: ArrayLike<number>,
    options?: DecodeOptions & { onError?: Exclude<OnDecodeError, "status"> },
  ): Decoded;
  decode(ids: ArrayLike<number>, options?: DecodeOptions): Decoded | NotDecoded;
  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): Decoded | NotDecoded {
    const { horizon, dim } = this.#shapeOf(options);
    const size = horizon * dim;
    this.#reserve(size);
    const symbols = this.#symbols.subarray(0, size);
    const count = this.#codec.decode(ids, symbols);
    if (count !== size) return this.#failed(count, ids, options);
    return { actions: this.#actionsOf(symbols, horizon, dim), status: "ok" };
  }

  /**
   * Decode ids to integer coefficients.
   * @param count how many there must be (`horizon · dim`).
   * @returns `[count]`, row-major.
   * @throws InsulaError as {@link decode} with `onError: "throw"`.
   */
  decodeCoefficients(ids: ArrayLike<number>, count: number): Int32Array {
    const { horizon: size } = this.#shapeOf({ horizon: count, dim: 1 });
    const out = new Int32Array(size);
    const found = this.#codec.decode(ids, out);
    if (found !== size) this.#failed(found, ids, { horizon: size, dim: 1 });
    for (let i = 0; i < size; i++) out[i]! += this.minToken;
    return out;
  }

  #actionsOf(symbols: Int32Array, horizon: number, dim: number): NdArray<Float64Array> {
    const coefficients = this.#coefficients;
    const actions = new Float64Array(horizon * dim);
    const values = this.#values;
    for (let i = 0; i < actions.length; i++) {
      const symbol = symbols[i]!;
      coefficients[i] = symbol < values.length ? values[symbol]! : (symbol + this.minToken) / this.scale;
    }
    dctPlan(horizon).inverse(coefficients, actions, dim);
    return { data: actions, shape: [horizon, dim] };
  }

  #encode(data: ArrayLike<number>, horizon: number, dim: number): Int32Array {
    this.#transform(data, horizon, dim);
    return this.#encodeCoefficients(horizon * dim, dim, data);
  }

  #reserve(size: number): void {
    if (this.#symbols.length < size) {
      this.#coefficients = new Float64Array(2 * size);
      this.#symbols = new Int32Array(2 * size);
    }
  }

  /** Fill `#coefficients` with whole numbers (or what is not finite). */
  #transform(data: ArrayLike<number>, horizon: number, dim: number): void {
    const size = horizon * dim;
    this.#reserve(size);
    const coefficients = this.#coefficients;
    dctPlan(horizon).forward(data, coefficients, dim);
    const { scale } = this;
    for (let i = 0; i < size; i++) coefficients[i] = coefficients[i]! * scale + ROUND - ROUND;
  }

  #encodeCoefficients(size: number, dim: number, data?: ArrayLike<number>): Int32Array {
    const coefficients = this.#coefficients;
    const symbols = this.#symbols;
    const { minToken } = this;
    for (let i = 0; i < size; i++) {
      let symbol = coefficients[i]! - minToken;
      if (!(symbol >= 0 && symbol < 0xd800)) {
        if (symbol < 0 && symbol > -Infinity && this.#clamp) symbol = 0;
        else if (!isEncodable(symbol)) this.#refuse(coefficients[i]!, i, dim, data);
      }
      symbols[i] = symbol;
    }
    const count = this.#codec.encode(symbols, size, this.#drop);
    if (count < 0) {
      const i = -1 - count;
      throw new InsulaError(
        "fast/out-of-alphabet",
        `fast: ${where(i, dim)}: coefficient ${symbols[i]! + this.minToken} is not in the fitted alphabet of this tokenizer; ` +
          "fit it on data that has it, or with byteAlphabet: true",
      );
    }
    return this.#codec.ids.slice(0, count);
  }

  /** Throw what coefficient `i`, the value `q`, deserves. */
  #refuse(q: number, i: number, dim: number, data?: ArrayLike<number>): never {
    const place = where(i, dim);
    if (!Number.isFinite(q) || !Number.isInteger(q)) {
      for (let t = 0; data && t * dim < data.length; t++) {
        const value = data[t * dim + (i % dim)]!;
        if (Number.isFinite(value)) continue;
        throw new InsulaError("fast/not-finite", `fast: actions[${t}, ${i % dim}] is ${value}`);
      }
      throw new InsulaError("fast/not-finite", `fast: ${place}: expected a whole coefficient, found ${q}`);
    }
    if (q < this.minToken) {
      throw new InsulaError(
        "fast/below-min",
        `fast: ${place}: coefficient ${q} is below min_token ${this.minToken}${largest(data, i, dim)}`,
      );
    }
    throw new InsulaError(
      "fast/unencodable",
      `fast: ${place}: coefficient ${q} has no character (from ${0xd800 + this.minToken} on they are surrogates or beyond Unicode)${largest(data, i, dim)}; ` +
        "check the normalisation: a dimension whose quantiles coincide is divided by almost nothing",
    );
  }

  #shapeOf(options: { horizon?: number; dim?: number }): { horizon: number; dim: number } {
    const horizon = options.horizon ?? this.horizon;
    const dim = options.dim ?? this.dim;
    const positive = (n: number | undefined): n is number => Number.isInteger(n) && n! >= 1;
    if (!positive(horizon) || !positive(dim) || horizon * dim > MAX_COEFFICIENTS) {
      throw new InsulaError(
        "fast/shape",
        `fast: decode needs horizon and dim, positive and at most ${MAX_COEFFICIENTS} numbers together; found ${horizon} and ${dim}`,
      );
    }
    return { horizon, dim };
  }

  /**
   * A failure to decode, in the form that `options.onError` asks for; for those who find one before `decode` does.
   * @throws InsulaError `fast/<status>`; `fast/shape` as {@link decode}.
   */
  failure<F extends string>(status: F, message: string, options: DecodeOptions): Decoded<F> | NotDecoded<F> {
    const { onError = "throw" } = options;
    if (onError === "throw") throw new InsulaError(`fast/${status}`, `fast: ${message}`);
    if (onError === "status") return { actions: null, status, message };
    const { horizon, dim } = this.#shapeOf(options);
    return {
      actions: { data: new Float64Array(horizon * dim), shape: [horizon, dim] },
      status,
      message,
    };
  }

  #failed(count: number, ids: ArrayLike<number>, options: DecodeOptions): Decoded | NotDecoded {
    const { horizon, dim } = this.#shapeOf(options);
    const failed =
      count === MALFORMED
        ? this.failure(
            "malformed",
            `${ids.length} ids do not spell whole characters: a coefficient is cut`,
            options,
          )
        : count < 0
          ? this.failure(
              "out-of-vocabulary",
              `id ${ids[UNKNOWN_ID - count]} at ${UNKNOWN_ID - count} is not in the vocabulary (0…${this.vocabSize - 1})`,
              options,
            )
          : this.failure(
              "wrong-count",
              `${ids.length} ids hold ${count} coefficients, expected ${horizon} · ${dim} = ${horizon * dim}`,
              options,
            );
    const lossy = options.onError === "upstream" ? this.#codec.decodeLossy(ids) : undefined;
    return failed.actions && lossy?.length === horizon * dim
      ? { ...failed, actions: this.#actionsOf(lossy, horizon, dim) }
      : failed;
  }
}

function isEncodable(symbol: number): boolean {
  if (!Number.isInteger(symbol) || symbol < 0 || symbol > MAX_CODE_POINT) return false;
  return (symbol < 0xd800 || symbol > 0xdfff) && symbol !== REPLACEMENT;
}

function where(i: number, dim: number): string {
  return `dimension ${i % dim}, frequency ${Math.floor(i / dim)}`;
}

/** The largest action of a dimension, for messages. */
function largest(data: ArrayLike<number> | undefined, i: number, dim: number): string {
  if (!data) return "";
  let value = 0;
  for (let j = i % dim; j < data.length; j += dim) if (Math.abs(data[j]!) > Math.abs(value)) value = data[j]!;
  return ` (largest action of that dimension: ${value})`;
}
