/**
 * @file Histograms of many numbers in one pass: buckets that grow by a quarter from 1e-12 on, to both sides of zero,
 * a coarser form of what TensorBoard's own writers have.
 */

export interface Histogram {
  min: number;
  max: number;
  num: number;
  sum: number;
  sumSquares: number;
  /** Upper ends of the buckets, ascending; the lower end of each is the one before. */
  limits: number[];
  counts: number[];
}

/** A histogram that grows. */
export interface HistogramSum {
  /** Counts every value; those that are not finite are left out. */
  add(values: ArrayLike<number>): void;
  /** What was counted; undefined when nothing was. Only the buckets that hold something, and their neighbours. */
  result(): Histogram | undefined;
}

const SMALLEST = 1e-12;
const GROWTH = Math.log(1.25);
/** Buckets to each side; the last ones hold everything beyond 1e20. */
const SIDE = Math.ceil(Math.log(1e20 / SMALLEST) / GROWTH);

/** An empty histogram. */
export function histogramSum(): HistogramSum {
  const counts = new Float64Array(2 * SIDE + 1);
  const stats = {
    num: 0,
    sum: 0,
    sumSquares: 0,
    min: Number.POSITIVE_INFINITY,
    max: Number.NEGATIVE_INFINITY,
  };
  return {
    add(values) {
      for (let i = 0; i < values.length; i++) {
        const value = values[i]!;
        if (!Number.isFinite(value)) continue;
        counts[SIDE + side(value)]! += 1;
        stats.num += 1;
        stats.sum += value;
        stats.sumSquares += value * value;
        if (value < stats.min) stats.min = value;
        if (value > stats.max) stats.max = value;
      }
    },
    result() {
      if (stats.num === 0) return undefined;
      const first = counts.findIndex((n) => n > 0);
      const last = counts.findLastIndex((n) => n > 0);
      // One empty bucket before the first says where that begins.
      const from = Math.max(0, first - 1);
      const limits: number[] = [];
      for (let i = from; i <= last; i++) limits.push(upper(i - SIDE));
      return { ...stats, limits, counts: Array.from(counts.subarray(from, last + 1)) };
    },
  };
}

/** Which bucket: 0 within ±{@link SMALLEST}, n above it, −n below. */
function side(value: number): number {
  const size = Math.abs(value);
  if (size <= SMALLEST) return 0;
  const n = Math.min(SIDE, 1 + Math.floor(Math.log(size / SMALLEST) / GROWTH));
  return value > 0 ? n : -n;
}

/** The upper end of a bucket. */
function upper(n: number): number {
  if (n === SIDE) return Number.MAX_VALUE;
  return n >= 0 ? SMALLEST * Math.exp(n * GROWTH) : -SMALLEST * Math.exp((-n - 1) * GROWTH);
}
