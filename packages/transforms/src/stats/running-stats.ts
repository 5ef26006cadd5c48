/**
 * @file Statistics of a stream of vectors in one pass: mean and variance of each batch, joined by Chan's update, in
 * float64, quantiles from a lossless growing histogram. States are plain records: they clone, travel between
 * workers and merge. openpi's `RunningStats` (`shared/normalize.py`), including its flaws, is
 * `createRunningStats({ upstream: true })`.
 */
import { InsulaError, type NdArray } from "@insula/model-types";
import { lastDim, numbersOf } from "../arrays.js";
import {
  countValues,
  emptyHistogram,
  growHistogram,
  type Histogram,
  histogramQuantile,
  mergeHistogram,
} from "./histogram.js";
import type { NormStats } from "./norm-stats.js";
import {
  createUpstreamStats,
  type UpstreamStats,
  updateUpstreamStats,
  upstreamStatistics,
} from "./upstream-stats.js";

/** Exact state: `[dim]` each; `m2` is the sum of squared deviations from the mean. */
export interface ExactStats {
  kind: "exact";
  count: number;
  mean: Float64Array;
  m2: Float64Array;
  min: Float64Array;
  max: Float64Array;
  histograms: Histogram[];
}

/** Either kind of state: exact, or openpi's number for number. Only exact ones merge. */
export type RunningStats = ExactStats | UpstreamStats;

/** An empty state. Its width is that of the first batch. */
export function createRunningStats(options?: { upstream?: false }): ExactStats;
export function createRunningStats(options: { upstream: true }): UpstreamStats;
export function createRunningStats(options: { upstream?: boolean } = {}): RunningStats {
  return options.upstream ? createUpstreamStats() : emptyExact();
}

function emptyExact(): ExactStats {
  const empty = (): Float64Array => new Float64Array(0);
  return { kind: "exact", count: 0, mean: empty(), m2: empty(), min: empty(), max: empty(), histograms: [] };
}

/**
 * Add the vectors of `batch` `[…, dim]` to `stats`, in place. `key` is named in errors.
 * @throws InsulaError `norm-stats/width` for another width than before, `norm-stats/not-finite` for NaN and
 * infinities, naming dim and row.
 */
export function updateRunningStats(stats: RunningStats, batch: NdArray, key: string = "batch"): void {
  const width = lastDim(batch);
  const x = numbersOf(batch.data);
  if (stats.count > 0 && stats.mean.length !== width) {
    throw new InsulaError(
      "norm-stats/width",
      `updateRunningStats: ${key}: expected vectors of ${stats.mean.length} dims as before, found ${width}`,
    );
  }
  if (x.length === 0) return;
  const sums = batchSums(x, width);
  // A sum of finite values may overflow: only a look at each value tells.
  if (!sums.sum.every(Number.isFinite)) refuseNonFinite(x, width, key);
  if (stats.kind === "upstream") updateUpstreamStats(stats, x, width);
  else updateExact(stats, x, width, sums);
}

function refuseNonFinite(x: ArrayLike<number>, width: number, key: string): void {
  for (let i = 0; i < x.length; i++) {
    if (Number.isFinite(x[i]!)) continue;
    throw new InsulaError(
      "norm-stats/not-finite",
      `updateRunningStats: ${key}: found ${x[i]} at dim ${i % width} of row ${Math.floor(i / width)}`,
    );
  }
}

/** Of one batch, `[dim]` each. */
interface BatchSums {
  sum: Float64Array;
  min: Float64Array;
  max: Float64Array;
}

function batchSums(x: ArrayLike<number>, width: number): BatchSums {
  const [sum, min, max] = [new Float64Array(width), new Float64Array(width), new Float64Array(width)];
  for (let d = 0; d < width; d++) {
    let [total, low, high] = [0, x[d]!, x[d]!];
    for (let i = d; i < x.length; i += width) {
      const v = x[i]!;
      total += v;
      if (v < low) low = v;
      if (v > high) high = v;
    }
    sum[d] = total;
    min[d] = low;
    max[d] = high;
  }
  return { sum, min, max };
}

function updateExact(stats: ExactStats, x: ArrayLike<number>, width: number, batch: BatchSums): void {
  if (stats.count === 0) startExact(stats, x, width);
  const rows = x.length / width;
  const count = stats.count + rows;
  for (let d = 0; d < width; d++) {
    const min = Math.min(stats.min[d]!, batch.min[d]!);
    const max = Math.max(stats.max[d]!, batch.max[d]!);
    stats.min[d] = min;
    stats.max[d] = max;
    const histogram = stats.histograms[d]!;
    growHistogram(histogram, min, max);
    countValues(histogram, x, d, width);
    const shift = batchMean(batch, d, rows);
    let [off, m2] = [0, 0];
    for (let i = d; i < x.length; i += width) {
      const delta = x[i]! - shift;
      off += delta;
      m2 += delta * delta;
    }
    // What rounding left between `shift` and the batch's mean is put right (two-pass algorithm, corrected).
    const mean = shift + off / rows;
    m2 -= (off * off) / rows;
    if (stats.count === 0) {
      stats.mean[d] = mean;
      stats.m2[d] = m2;
    } else {
      const delta = mean - stats.mean[d]!;
      stats.mean[d]! += delta * (rows / count);
      stats.m2[d]! += m2 + delta * delta * stats.count * (rows / count);
    }
  }
  stats.count = count;
}

/** The mean of one dim, to rounding; where the sum overflows, a value amid them does. */
function batchMean({ sum, min, max }: BatchSums, d: number, rows: number): number {
  const mean = sum[d]! / rows;
  return Number.isFinite(mean) ? Math.min(Math.max(mean, min[d]!), max[d]!) : min[d]! / 2 + max[d]! / 2;
}

function startExact(stats: ExactStats, x: ArrayLike<number>, width: number): void {
  const row = Float64Array.from({ length: width }, (_, d) => x[d]!);
  stats.mean = new Float64Array(width);
  stats.m2 = new Float64Array(width);
  stats.min = row;
  stats.max = row.slice();
  stats.histograms = Array.from(row, emptyHistogram);
}

/**
 * The statistics of both streams together (Chan et al.; histograms add up exactly, in any order). Neither
 * input is changed.
 * @throws InsulaError `norm-stats/width` for different widths.
 */
export function mergeRunningStats(a: ExactStats, b: ExactStats): ExactStats {
  if (a.count === 0) return structuredClone(b);
  if (b.count === 0) return structuredClone(a);
  if (a.mean.length !== b.mean.length) {
    throw new InsulaError(
      "norm-stats/width",
      `mergeRunningStats: cannot merge vectors of ${a.mean.length} and ${b.mean.length} dims`,
    );
  }
  const out = structuredClone(a);
  out.count = a.count + b.count;
  for (let d = 0; d < a.mean.length; d++) {
    const delta = b.mean[d]! - a.mean[d]!;
    out.mean[d] = a.mean[d]! + (delta * b.count) / out.count;
    out.m2[d] = a.m2[d]! + b.m2[d]! + (delta * delta * a.count * b.count) / out.count;
    out.min[d] = Math.min(a.min[d]!, b.min[d]!);
    out.max[d] = Math.max(a.max[d]!, b.max[d]!);
    const histogram = out.histograms[d]!;
    const other = b.histograms[d]!;
    growHistogram(histogram, out.min[d]!, out.max[d]!);
    mergeHistogram(histogram, other);
  }
  return out;
}

/**
 * The statistics of the same stream if each of its vectors counted `factor` times: mean, deviation and quantiles stay,
 * its share of a merge changes. `stats` is not changed. Counts need no longer be whole.
 * @throws InsulaError `norm-stats/weight` for a factor that is not a finite number above 0.
 */
export function scaleRunningStats(stats: ExactStats, factor: number): ExactStats {
  if (!(factor > 0 && Number.isFinite(factor))) {
    throw new InsulaError(
      "norm-stats/weight",
      `scaleRunningStats: expected a finite factor above 0, found ${factor}`,
    );
  }
  const out = structuredClone(stats);
  out.count *= factor;
  out.m2 = out.m2.map((v) => v * factor);
  for (const histogram of out.histograms) histogram.counts = histogram.counts.map((n) => n * factor);
  return out;
}

/**
 * Mean, population standard deviation, and the quantiles 0.01 and 0.99; with `minMax` also the extremes.
 * @throws InsulaError `norm-stats/count` for fewer than two vectors.
 */
export function getStatistics(stats: RunningStats, options: { minMax?: boolean } = {}): NormStats {
  if (stats.count < 2) {
    throw new InsulaError(
      "norm-stats/count",
      `getStatistics: Cannot compute statistics for less than 2 vectors (found ${stats.count})`,
    );
  }
  const extremes = options.minMax ? { min: stats.min.slice(), max: stats.max.slice() } : {};
  if (stats.kind === "upstream") return { ...upstreamStatistics(stats), ...extremes };
  const quantile = (q: number): Float64Array =>
    Float64Array.from(stats.histograms, (h, d) =>
      histogramQuantile(h, q, stats.count, stats.min[d]!, stats.max[d]!),
    );
  return {
    mean: stats.mean.slice(),
    std: stats.m2.map((m2) => Math.sqrt(m2 / stats.count)),
    q01: quantile(0.01),
    q99: quantile(0.99),
    ...extremes,
  };
}
