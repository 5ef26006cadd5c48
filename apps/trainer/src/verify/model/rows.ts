/** @file Which rows of a padded tensor are real, and what the attention mask says about sequence order. */
import type { NdArray } from "@insula/model-types";

/** bool `[b, s]` and `extra` rows that are always valid → `[b, s + extra]`. */
export function withSuffix({ data, shape }: NdArray, extra: number): Uint8Array {
  const [b, s] = shape as [number, number];
  const out = new Uint8Array(b * (s + extra)).fill(1);
  for (let i = 0; i < b; i++) {
    for (let j = 0; j < s; j++) out[i * (s + extra) + j] = Number(data[i * s + j]);
  }
  return out;
}

/** Columns `start … start + count - 1` of a mask `[b, s]`. */
export function columns({ data, shape }: NdArray, start: number, count: number): Uint8Array {
  const [b, s] = shape as [number, number];
  const out = new Uint8Array(b * count);
  for (let i = 0; i < b; i++) {
    for (let j = 0; j < count; j++) out[i * count + j] = Number(data[i * s + start + j]);
  }
  return out;
}

/** A mask over rows, once for each of `times` leading slices. */
export function repeated(rows: Uint8Array, times: number): Uint8Array {
  const out = new Uint8Array(rows.length * times);
  for (let i = 0; i < times; i++) out.set(rows, i * rows.length);
  return out;
}

/**
 * The autoregressive mask behind an attention mask `[b, t, t]`: token j begins a block where its predecessor,
 * itself valid, does not see it. `known` is 0 where no example of the batch has both tokens.
 */
export function blockStarts(visible: NdArray): { starts: Uint8Array; known: Uint8Array } {
  const [b, t] = visible.shape as [number, number];
  const sees = (i: number, q: number, k: number) => Number(visible.data[(i * t + q) * t + k]) === 1;
  const starts = new Uint8Array(t);
  const known = new Uint8Array(t);
  known[0] = 1; // nothing before it: it begins no further block
  for (let j = 1; j < t; j++) {
    for (let i = 0; i < b; i++) {
      if (!sees(i, j, j) || !sees(i, j - 1, j - 1)) continue;
      known[j] = 1;
      if (!sees(i, j - 1, j)) starts[j] = 1;
    }
  }
  return { starts, known };
}

/** Which tokens are valid, `[b, t]`: a valid token sees itself. */
export function validOf(visible: NdArray): NdArray<Uint8Array> {
  const [b, t] = visible.shape as [number, number];
  const data = new Uint8Array(b * t);
  for (let i = 0; i < data.length; i++) data[i] = Number(visible.data[i * t + (i % t)]);
  return { data, shape: [b, t] };
}
