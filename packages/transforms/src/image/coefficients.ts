/**
 * @file The weights of Pillow's bilinear `Image.resize` for 8-bit images (`libImaging/Resample.c`): a triangle
 * filter, widened by the scale when shrinking (antialias), in 22-bit fixed point.
 */
import { PRECISION_BITS } from "./wasm/kernels.js";

/** For each output position of an axis: where its window starts, how long it is, and its fixed-point weights. */
export interface Coefficients {
  /** `[out]` */
  starts: Int32Array;
  /** `[out]` */
  lengths: Int32Array;
  /** `[out, taps]`, zeros behind a window. */
  weights: Int32Array;
  /** The longest window. */
  taps: number;
}

/** Tables by `in>out`. A robot has a handful of camera sizes; the bound only guards against hostile input. */
const cache = new Map<string, Coefficients>();
const MAX_TABLES = 256;

/** The table of an axis; the same object as long as it is in use. */
export function coefficients(inSize: number, outSize: number): Coefficients {
  const key = `${inSize}>${outSize}`;
  let table = cache.get(key);
  if (table === undefined) {
    table = computeCoefficients(inSize, outSize);
    if (cache.size >= MAX_TABLES) cache.clear();
    cache.set(key, table);
  }
  return table;
}

/** `precompute_coeffs` and `normalize_coeffs_8bpc`. */
function computeCoefficients(inSize: number, outSize: number): Coefficients {
  const scale = inSize / outSize;
  const support = Math.max(scale, 1); // the triangle filter reaches 1 to either side
  const starts = new Int32Array(outSize);
  const lengths = new Int32Array(outSize);
  let taps = 1;
  for (let o = 0; o < outSize; o++) {
    const center = (o + 0.5) * scale;
    starts[o] = Math.max(Math.trunc(center - support + 0.5), 0);
    lengths[o] = Math.min(Math.trunc(center + support + 0.5), inSize) - starts[o]!;
    taps = Math.max(taps, lengths[o]!);
  }
  const weights = new Int32Array(outSize * taps);
  const window = new Float64Array(taps);
  const inverse = 1 / support;
  for (let o = 0; o < outSize; o++) {
    const center = (o + 0.5) * scale;
    let sum = 0;
    for (let i = 0; i < lengths[o]!; i++) {
      const w = Math.max(1 - Math.abs((i + starts[o]! - center + 0.5) * inverse), 0);
      window[i] = w;
      sum += w;
    }
    for (let i = 0; i < lengths[o]!; i++) {
      const w = sum === 0 ? window[i]! : window[i]! / sum;
      weights[o * taps + i] = Math.trunc(0.5 + w * (1 << PRECISION_BITS));
    }
  }
  return { starts, lengths, weights, taps };
}
