/**
 * @file The orthonormal discrete cosine transform along time, in float64:
 * `X[k] = c_k Σ_n x[n] cos(π (2n+1) k / 2H)`, `c_0 = √(1/H)`, `c_k = √(2/H)` (scipy's type II, `norm="ortho"`).
 * The inverse is the transpose (type III). Two ways to the same numbers: a cached cosine matrix, and for long
 * powers of two an FFT (Makhoul 1980, "A fast cosine transform in one and two dimensions").
 */
import { InsulaError, type NdArray } from "@insula/model-types";
import FFT from "fft.js";

/** Powers of two from here on go through the FFT: at 64 steps it takes 0.6 of the matrix's time, at 32 the same. */
export const FFT_FROM = 64;
/** A cosine matrix of a longer horizon would hold tens of megabytes. */
export const MAX_MATRIX_HORIZON = 2048;
/** Longest horizon of all; only powers of two get here. */
export const MAX_HORIZON = 65_536;
/** Plans kept; robots use a handful of horizons. */
const MAX_PLANS = 16;

/** A transform of one horizon: `x` and `out` are `[horizon, dim]`, row-major, and must not overlap. */
export interface DctPlan {
  readonly horizon: number;
  forward(x: ArrayLike<number>, out: Float64Array, dim: number): void;
  inverse(x: ArrayLike<number>, out: Float64Array, dim: number): void;
}

const plans = new Map<number, DctPlan>();

/**
 * The (cached) plan of a horizon.
 * @throws InsulaError `dct/horizon` when it is not a positive integer or too long.
 */
export function dctPlan(horizon: number): DctPlan {
  let plan = plans.get(horizon);
  if (plan) return plan;
  const powerOfTwo = Number.isInteger(Math.log2(horizon));
  const longest = powerOfTwo ? MAX_HORIZON : MAX_MATRIX_HORIZON;
  if (!(Number.isInteger(horizon) && horizon >= 1 && horizon <= longest)) {
    throw new InsulaError(
      "dct/horizon",
      `dct: expected a horizon of 1…${MAX_MATRIX_HORIZON} steps (powers of two up to ${MAX_HORIZON}), found ${horizon}`,
    );
  }
  plan =
    horizon === 1
      ? singleStepPlan()
      : powerOfTwo && horizon >= FFT_FROM
        ? fftPlan(horizon)
        : matrixPlan(horizon);
  if (plans.size >= MAX_PLANS) plans.delete(plans.keys().next().value!);
  plans.set(horizon, plan);
  return plan;
}

/**
 * One step: the identity, but with scipy's own roundings (its factors 2, √½ and √½ do not cancel to the last bit),
 * so that a coefficient on a rounding tie falls as it does there.
 */
function singleStepPlan(): DctPlan {
  return {
    horizon: 1,
    forward(x: ArrayLike<number>, out: Float64Array, dim: number): void {
      for (let d = 0; d < dim; d++) out[d] = x[d]! * 2 * Math.SQRT1_2 * Math.SQRT1_2;
    },
    inverse(x: ArrayLike<number>, out: Float64Array, dim: number): void {
      for (let d = 0; d < dim; d++) out[d] = x[d]!;
    },
  };
}

/**
 * Cosine matrix, halved: row k is even (k even) or odd (k odd) about the middle of the chunk, so only its first
 * ⌈H/2⌉ entries are needed, applied to `x[n] ± x[H-1-n]`. Two tables per direction, one for each parity.
 */
export function matrixPlan(horizon: number): DctPlan {
  const half = (horizon + 1) >> 1;
  /** Rows of each parity: k = 2r, k = 2r + 1. */
  const rows = [half, horizon >> 1] as const;
  const cosine = (k: number, n: number): number => {
    // The angle reduced to one period first: large (2n+1)k would cost digits.
    const turns = ((2 * n + 1) * k) % (4 * horizon);
    return Math.sqrt((k === 0 ? 1 : 2) / horizon) * Math.cos((Math.PI * turns) / (2 * horizon));
  };
  const forwardTables = rows.map((r, parity) => blocked(r, half, (i, n) => cosine(2 * i + parity, n)));
  const inverseTables = rows.map((r, parity) => blocked(half, r, (n, i) => cosine(2 * i + parity, n)));
  // Two columns at a time, interleaved: [step, 2] for each parity.
  const x0 = new Float64Array(2 * half);
  const x1 = new Float64Array(2 * half);
  const y0 = new Float64Array(2 * half + 6);
  const y1 = new Float64Array(2 * half + 6);

  function forward(x: ArrayLike<number>, out: Float64Array, dim: number): void {
    for (let d = 0; d < dim; d += 2) {
      const columns = Math.min(2, dim - d);
      for (let j = 0; j < columns; j++) {
        let a = d + j;
        let b = (horizon - 1) * dim + d + j;
        for (let n = j; n < 2 * half; n += 2, a += dim, b -= dim) {
          const left = x[a]!;
          const right = a === b ? 0 : x[b]!; // the middle of an odd horizon counts once
          x0[n] = left + right;
          x1[n] = left - right;
        }
      }
      multiply(forwardTables[0]!, half, x0, y0);
      multiply(forwardTables[1]!, half, x1, y1);
      for (let j = 0; j < columns; j++) {
        for (let i = j, at = d + j; i < 2 * rows[0]; i += 2, at += 2 * dim) out[at] = y0[i]!;
        for (let i = j, at = dim + d + j; i < 2 * rows[1]; i += 2, at += 2 * dim) out[at] = y1[i]!;
      }
    }
  }

  function inverse(x: ArrayLike<number>, out: Float64Array, dim: number): void {
    for (let d = 0; d < dim; d += 2) {
      const columns = Math.min(2, dim - d);
      // Quantised chunks end in zeros: frequencies behind the last non-zero one add nothing.
      let end0 = 0;
      let end1 = 0;
      for (let j = 0; j < columns; j++) {
        for (let i = j, at = d + j; i < 2 * rows[0]; i += 2, at += 2 * dim) {
          x0[i] = x[at]!;
          if (x[at] !== 0 && i >= end0) end0 = i + 1;
        }
        for (let i = j, at = dim + d + j; i < 2 * rows[1]; i += 2, at += 2 * dim) {
          x1[i] = x[at]!;
          if (x[at] !== 0 && i >= end1) end1 = i + 1;
        }
      }
      multiply(inverseTables[0]!, rows[0], x0, y0, (end0 + 1) >> 1);
      multiply(inverseTables[1]!, rows[1], x1, y1, (end1 + 1) >> 1);
      for (let j = 0; j < columns; j++) {
        let a = d + j;
        let b = (horizon - 1) * dim + d + j;
        for (let n = j; n < 2 * half; n += 2, a += dim, b -= dim) {
          out[b] = y0[n]! - y1[n]!;
          out[a] = y0[n]! + y1[n]!;
        }
      }
    }
  }

  return { horizon, forward, inverse };
}

/** A matrix `[rows, columns]` as blocks of four rows, interleaved: `[block, column, 4]`, padded with zeros. */
function blocked(
  rows: number,
  columns: number,
  entry: (row: number, column: number) => number,
): Float64Array {
  const table = new Float64Array(Math.ceil(rows / 4) * columns * 4);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) table[((r >> 2) * columns + c) * 4 + (r & 3)] = entry(r, c);
  }
  return table;
}

/**
 * `y = table · x` for two columns: eight sums at a time share their loads. x `[columns, 2]`, y `[rows, 2]`.
 * @param used how many entries of x to look at; the rest are zeros.
 */
function multiply(
  table: Float64Array,
  columns: number,
  x: Float64Array,
  y: Float64Array,
  used: number = columns,
): void {
  for (let block = 0, to = 0; block < table.length; block += 4 * columns, to += 8) {
    let a0 = 0;
    let a1 = 0;
    let a2 = 0;
    let a3 = 0;
    let b0 = 0;
    let b1 = 0;
    let b2 = 0;
    let b3 = 0;
    for (let c = 0, i = block; c < 2 * used; c += 2, i += 4) {
      const a = x[c]!;
      const b = x[c + 1]!;
      const t0 = table[i]!;
      const t1 = table[i + 1]!;
      const t2 = table[i + 2]!;
      const t3 = table[i + 3]!;
      a0 += t0 * a;
      b0 += t0 * b;
      a1 += t1 * a;
      b1 += t1 * b;
      a2 += t2 * a;
      b2 += t2 * b;
      a3 += t3 * a;
      b3 += t3 * b;
    }
    y[to] = a0;
    y[to + 1] = b0;
    y[to + 2] = a1;
    y[to + 3] = b1;
    y[to + 4] = a2;
    y[to + 5] = b2;
    y[to + 6] = a3;
    y[to + 7] = b3;
  }
}

/** FFT of the chunk with its even steps in front and its odd steps, reversed, behind; then a quarter-sample twist. */
export function fftPlan(horizon: number): DctPlan {
  const h = horizon;
  if (h < 2) return matrixPlan(h); // fft.js starts at 2
  const fft = new FFT(h);
  const input = new Float64Array(2 * h); // complex for the inverse, the first h reals for the forward
  const spectrum = new Float64Array(2 * h);
  const cos = new Float64Array(h);
  const sin = new Float64Array(h);
  for (let k = 0; k < h; k++) {
    cos[k] = Math.cos((Math.PI * k) / (2 * h));
    sin[k] = Math.sin((Math.PI * k) / (2 * h));
  }
  const c0 = Math.sqrt(1 / h);
  const ck = Math.sqrt(2 / h);

  function forward(x: ArrayLike<number>, out: Float64Array, dim: number): void {
    for (let d = 0; d < dim; d++) {
      for (let n = 0; 2 * n < h; n++) {
        input[n] = x[2 * n * dim + d]!;
        input[h - 1 - n] = x[(2 * n + 1) * dim + d]!;
      }
      fft.realTransform(spectrum, input); // fills k ≤ h/2; the rest is its mirror image
      for (let k = 0; 2 * k <= h; k++) {
        const re = spectrum[2 * k]!;
        const im = spectrum[2 * k + 1]!;
        // e^(-iπk/2h) V_k = C_k - i C_(h-k)
        out[k * dim + d] = (k === 0 ? c0 : ck) * (re * cos[k]! + im * sin[k]!);
        if (k > 0) out[(h - k) * dim + d] = ck * (re * sin[k]! - im * cos[k]!);
      }
    }
  }

  function inverse(x: ArrayLike<number>, out: Float64Array, dim: number): void {
    for (let d = 0; d < dim; d++) {
      for (let k = 0; k < h; k++) {
        const re = x[k * dim + d]! / (k === 0 ? c0 : ck);
        const im = k === 0 ? 0 : -x[(h - k) * dim + d]! / ck;
        input[2 * k] = re * cos[k]! - im * sin[k]!;
        input[2 * k + 1] = re * sin[k]! + im * cos[k]!;
      }
      fft.inverseTransform(spectrum, input);
      for (let n = 0; 2 * n < h; n++) {
        out[2 * n * dim + d] = spectrum[2 * n]!;
        out[(2 * n + 1) * dim + d] = spectrum[2 * (h - 1 - n)]!;
      }
    }
  }

  return { horizon, forward, inverse };
}

/**
 * DCT-II, orthonormal, along time.
 * @param x `[horizon, dim]`.
 * @param out where to write, `horizon · dim` long; a new array when left out. Must not share memory with `x`.
 * @returns `[horizon, dim]` float64: row k holds frequency k.
 * @throws InsulaError `dct/shape`, `dct/horizon`.
 */
export function dct(x: NdArray, out?: Float64Array): NdArray<Float64Array> {
  return apply("forward", x, out);
}

/**
 * DCT-III, orthonormal, along time: the inverse of {@link dct}. Shapes and errors as there.
 */
export function idct(x: NdArray, out?: Float64Array): NdArray<Float64Array> {
  return apply("inverse", x, out);
}

function apply(
  direction: "forward" | "inverse",
  x: NdArray,
  out: Float64Array | undefined,
): NdArray<Float64Array> {
  const { data, horizon, dim } = checkChunk(x, "dct");
  const result = out ?? new Float64Array(data.length);
  if (result.length !== data.length) {
    throw new InsulaError("dct/shape", `dct: out has ${result.length} elements, x has ${data.length}`);
  }
  dctPlan(horizon)[direction](data, result, dim);
  return { data: result, shape: [horizon, dim] };
}

/**
 * A chunk's numbers and sizes, checked.
 * @throws InsulaError `<area>/shape` unless it is `[horizon, dim]`, filled, of numbers.
 */
export function checkChunk(
  x: NdArray,
  area: string,
): { data: Exclude<NdArray["data"], BigInt64Array | BigUint64Array>; horizon: number; dim: number } {
  const shape: readonly number[] = Array.isArray(x?.shape) ? x.shape : [];
  const data = x?.data;
  const [horizon, dim] = shape;
  const sized = shape.length === 2 && shape.every((s) => Number.isInteger(s) && s >= 1);
  if (!sized || data?.length !== horizon! * dim!) {
    throw new InsulaError(
      `${area}/shape`,
      `${area}: expected a chunk [horizon, dim] with horizon, dim ≥ 1, found [${shape.join(", ")}] with ${data?.length ?? "no"} elements`,
    );
  }
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    throw new InsulaError(
      `${area}/dtype`,
      `${area}: expected numbers, found ${data.constructor.name}; convert to Float64Array`,
    );
  }
  return { data, horizon: horizon!, dim: dim! };
}
