/**
 * @file A one-pass histogram that needs no range beforehand, loses nothing and merges exactly. Bins are
 * `[i·2^k, (i+1)·2^k)`: when the values no longer fit into `BINS` of them, k grows by one and neighbours join.
 * The smallest fitting k depends on minimum and maximum only, so the histogram is a pure function of the
 * values: order, batching and the shape of a merge tree do not matter.
 */

/** Bins per dimension: a quantile is off by at most one bin, 1/8192 of the range. */
export const BINS = 16_384;
/** Width 2^-40 at the finest; a constant dimension stays there. */
const FINEST = -40;

/** Counts of bins `first … first + BINS - 1` of width `2^exponent`. */
export interface Histogram {
  exponent: number;
  first: number;
  counts: Float64Array;
}

/** The bin that holds `value`. A subnormal may vanish in the division, not its sign. */
function binOf(value: number, inverseWidth: number): number {
  const bin = Math.floor(value * inverseWidth);
  return bin === 0 && value < 0 ? -1 : bin + 0; // + 0: no negative zero
}

/** An empty histogram that starts at `value`. */
export function emptyHistogram(value: number): Histogram {
  return { exponent: FINEST, first: binOf(value, 2 ** -FINEST), counts: new Float64Array(BINS) };
}

/** Make room for `min … max`, which must include all values counted so far. */
export function growHistogram(h: Histogram, min: number, max: number): void {
  let exponent = h.exponent;
  // negated, so that the NaN of an overflow grows too
  while (!(binOf(max, 2 ** -exponent) - binOf(min, 2 ** -exponent) < BINS)) exponent++;
  const first = binOf(min, 2 ** -exponent);
  if (exponent === h.exponent && first === h.first) return;
  const counts = new Float64Array(BINS);
  addInto(counts, first, exponent, h);
  Object.assign(h, { exponent, first, counts });
}

/** Count every `stride`-th value from `offset`; all must lie inside. */
export function countValues(h: Histogram, x: ArrayLike<number>, offset: number, stride: number): void {
  const inverse = 2 ** -h.exponent;
  for (let i = offset; i < x.length; i += stride) h.counts[binOf(x[i]!, inverse) - h.first]!++;
}

/** Add the counts of `other`, whose values must lie inside of `h` and whose bins are no wider. */
export function mergeHistogram(h: Histogram, other: Histogram): void {
  addInto(h.counts, h.first, h.exponent, other);
}

function addInto(counts: Float64Array, first: number, exponent: number, from: Histogram): void {
  const shrink = 2 ** (from.exponent - exponent);
  for (let i = 0; i < BINS; i++) {
    const n = from.counts[i]!;
    if (n > 0) counts[Math.floor((from.first + i) * shrink) - first]! += n;
  }
}

/**
 * The `q`-quantile of the `total` values counted, interpolated linearly between order statistics like numpy's
 * default, each taken to within its bin and clamped to `min … max`.
 */
export function histogramQuantile(h: Histogram, q: number, total: number, min: number, max: number): number {
  const rank = q * (total - 1);
  const low = Math.floor(rank);
  const a = orderStatistic(h, low, min, max);
  return rank === low ? a : a + (orderStatistic(h, low + 1, min, max) - a) * (rank - low);
}

/** The `index`-th smallest value, the values of a bin spread evenly over it. */
function orderStatistic(h: Histogram, index: number, min: number, max: number): number {
  let below = 0;
  for (let i = 0; i < BINS; i++) {
    const n = h.counts[i]!;
    if (below + n > index) {
      // n may be a fraction of 1 where streams were weighted.
      const value = (h.first + i + Math.min((index - below + 0.5) / n, 1)) * 2 ** h.exponent;
      return Math.min(Math.max(value, min), max);
    }
    below += n;
  }
  return max;
}
