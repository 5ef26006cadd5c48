/**
 * @file Action chunks as the trainer will see them: clamped at the end of the episode (the last action repeats, as
 * LeRobot's `delta_timestamps` do) and normalised by quantiles (openpi `transforms.py` `Normalize`).
 */
import type { NdArray } from "@insula/model-types";

/** Quantiles per dimension. */
export interface Quantiles {
  readonly q01: Float64Array;
  readonly q99: Float64Array;
}

/** Rows `t … t + horizon - 1` of `actions` `[frames, dim]`, the last row repeated past the end: `[horizon, dim]`. */
export function actionChunk(
  actions: Float32Array,
  dim: number,
  t: number,
  horizon: number,
): NdArray<Float32Array> {
  const frames = actions.length / dim;
  const data = new Float32Array(horizon * dim);
  for (let h = 0; h < horizon; h++) {
    const row = Math.min(t + h, frames - 1);
    data.set(actions.subarray(row * dim, (row + 1) * dim), h * dim);
  }
  return { data, shape: [horizon, dim] };
}

/** The 1 % and 99 % quantiles (order statistics) of every column of `arrays`, each `[rows, dim]`. */
export function quantilesOf(arrays: readonly Float32Array[], dim: number): Quantiles {
  const rows = arrays.reduce((sum, a) => sum + a.length / dim, 0);
  const q01 = new Float64Array(dim);
  const q99 = new Float64Array(dim);
  for (let d = 0; d < dim; d++) {
    const column = new Float32Array(rows);
    let to = 0;
    for (const a of arrays) for (let i = d; i < a.length; i += dim) column[to++] = a[i]!;
    column.sort();
    // The first value below or at which lie q · rows of them (numpy searchsorted, as in openpi's RunningStats).
    q01[d] = column[Math.ceil(0.01 * rows) - 1]!;
    q99[d] = column[Math.ceil(0.99 * rows) - 1]!;
  }
  return { q01, q99 };
}

/** `(x − q01) / (q99 − q01 + 1e-6) · 2 − 1`, not clipped; `values` is `[rows, dim]`. */
export function normalizeQuantiles(values: Float32Array, { q01, q99 }: Quantiles): Float32Array {
  const dim = q01.length;
  return values.map((x, i) => ((x - q01[i % dim]!) / (q99[i % dim]! - q01[i % dim]! + 1e-6)) * 2 - 1);
}
