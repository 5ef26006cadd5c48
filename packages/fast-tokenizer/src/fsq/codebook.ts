/**
 * @file Finite scalar quantisation (arXiv:2309.15505) with openpi's "custom" codebooks: a row of features becomes two
 * numbers in −1…1, each rounded to one of √size places, and these two digits an id (openpi `FsqCodebook`).
 */
import { dense, type Rows } from "./layers.js";
import { CODE_DIMS, denseOf, type Weights } from "./params.js";

/** Places per dimension. */
const base = (size: number): number => Math.round(Math.sqrt(size));

/** The place of each row before rounding, `[n, 2]` in −1…1. */
export function codePlaces(rows: Rows, weights: Weights): Rows {
  const { data, width } = dense(rows, denseOf(weights, "codebook/proj_down"));
  return { data: data.map(Math.tanh), width };
}

/** Places to ids: digit `round((z + 1) · (base - 1) / 2)`, half to even, the first digit the lower one. */
export function idsOfPlaces({ data }: Rows, size: number): Int32Array {
  const places = base(size);
  const digit = (z: number): number => roundHalfEven(Math.fround(Math.fround(z + 1) * (places - 1)) / 2);
  return Int32Array.from(
    { length: data.length / CODE_DIMS },
    (_, i) => digit(data[2 * i]!) + places * digit(data[2 * i + 1]!),
  );
}

/** Ids to rows of features `[n, d]`. */
export function rowsOfIds(ids: ArrayLike<number>, size: number, weights: Weights): Rows {
  const places = base(size);
  const data = new Float32Array(ids.length * CODE_DIMS);
  for (let i = 0; i < ids.length; i++) {
    data[2 * i] = ((ids[i]! % places) / (places - 1)) * 2 - 1;
    data[2 * i + 1] = (Math.floor(ids[i]! / places) / (places - 1)) * 2 - 1;
  }
  return dense({ data, width: CODE_DIMS }, denseOf(weights, "codebook/proj_up"));
}

function roundHalfEven(x: number): number {
  const up = Math.round(x);
  return up - x === 0.5 && up % 2 !== 0 ? up - 1 : up;
}
