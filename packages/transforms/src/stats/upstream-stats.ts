/**
 * @file openpi's `RunningStats` number for number (`shared/normalize.py` on numpy 1.26), to compare with its
 * files. Its flaws are kept: E[x²] − E[x]² in the input's precision (float32 cancels), old histogram counts
 * moved to the left edge of their bin at each re-binning, some lost there, quantiles at left edges.
 */
import type { NormStats } from "./norm-stats.js";

const BINS = 5000;

/** The fields of openpi's class, `[dim]` each; edges `[BINS + 1]` per dim. */
export interface UpstreamStats {
  kind: "upstream";
  count: number;
  /** Sums are rounded to float32 after every operation when the batches are float32. */
  float32: boolean;
  mean: Float64Array;
  meanOfSquares: Float64Array;
  min: Float64Array;
  max: Float64Array;
  histograms: Float64Array[];
  binEdges: Float64Array[];
}

/** An empty state. */
export function createUpstreamStats(): UpstreamStats {
  const empty = (): Float64Array => new Float64Array(0);
  return {
    kind: "upstream",
    count: 0,
    float32: false,
    mean: empty(),
    meanOfSquares: empty(),
    min: empty(),
    max: empty(),
    histograms: [],
    binEdges: [],
  };
}

/** Add the rows of `x`, `width` numbers each. The first batch decides the precision. */
export function updateUpstreamStats(stats: UpstreamStats, x: ArrayLike<number>, width: number): void {
  if (stats.count === 0) stats.float32 = x instanceof Float32Array;
  const round = stats.float32 ? Math.fround : (v: number): number => v;
  const rows = x.length / width;
  const mean = new Float64Array(width);
  const squares = new Float64Array(width);
  const min = new Float64Array(width).fill(Number.POSITIVE_INFINITY);
  const max = new Float64Array(width).fill(Number.NEGATIVE_INFINITY);
  for (let i = 0; i < x.length; i++) {
    const d = i % width;
    const v = x[i]!;
    mean[d] = round(mean[d]! + v);
    squares[d] = round(squares[d]! + round(v * v));
    if (v < min[d]!) min[d] = v;
    if (v > max[d]!) max[d] = v;
  }
  for (let d = 0; d < width; d++) {
    mean[d] = round(mean[d]! / rows);
    squares[d] = round(squares[d]! / rows);
  }

  if (stats.count === 0) {
    stats.mean = mean.slice();
    stats.meanOfSquares = squares.slice();
    stats.min = min;
    stats.max = max;
    stats.histograms = Array.from({ length: width }, () => new Float64Array(BINS));
    stats.binEdges = Array.from({ length: width }, (_, d) => linspace(min[d]! - 1e-10, max[d]! + 1e-10));
  } else {
    let grown = false;
    for (let d = 0; d < width; d++) {
      if (min[d]! < stats.min[d]! || max[d]! > stats.max[d]!) grown = true;
      stats.min[d] = Math.min(stats.min[d]!, min[d]!);
      stats.max[d] = Math.max(stats.max[d]!, max[d]!);
    }
    if (grown) for (let d = 0; d < width; d++) rebin(stats, d);
  }

  stats.count += rows;
  const weight = round(rows / stats.count);
  for (let d = 0; d < width; d++) {
    stats.mean[d] = round(stats.mean[d]! + round(round(mean[d]! - stats.mean[d]!) * weight));
    stats.meanOfSquares[d] = round(
      stats.meanOfSquares[d]! + round(round(squares[d]! - stats.meanOfSquares[d]!) * weight),
    );
    addToHistogram(stats.histograms[d]!, stats.binEdges[d]!, x, d, width);
  }
}

/** Place each old bin's count at its left edge in new bins over min … max. */
function rebin(stats: UpstreamStats, d: number): void {
  const old = stats.histograms[d]!;
  const oldEdges = stats.binEdges[d]!;
  const edges = linspace(stats.min[d]!, stats.max[d]!);
  const histogram = new Float64Array(BINS);
  for (let i = 0; i < BINS; i++) {
    const bin = binOf(edges, oldEdges[i]!);
    if (bin >= 0) histogram[bin]! += old[i]!;
  }
  stats.histograms[d] = histogram;
  stats.binEdges[d] = edges;
}

function addToHistogram(
  histogram: Float64Array,
  edges: Float64Array,
  x: ArrayLike<number>,
  d: number,
  width: number,
): void {
  for (let i = d; i < x.length; i += width) {
    const bin = binOf(edges, x[i]!);
    if (bin >= 0) histogram[bin]!++;
  }
}

/** numpy's rule: bin i holds `edges[i] <= v < edges[i + 1]`, the last bin also its right edge; -1 outside. */
function binOf(edges: Float64Array, v: number): number {
  if (v < edges[0]! || v > edges[BINS]!) return -1;
  if (v === edges[BINS]) return BINS - 1;
  let low = 0;
  let high = BINS;
  while (high - low > 1) {
    const mid = (low + high) >> 1;
    if (edges[mid]! <= v) low = mid;
    else high = mid;
  }
  return low;
}

/** numpy's `linspace(start, stop, BINS + 1)`. */
function linspace(start: number, stop: number): Float64Array {
  const step = (stop - start) / BINS;
  const out = new Float64Array(BINS + 1);
  for (let i = 0; i < BINS; i++) out[i] = (step === 0 ? (i / BINS) * (stop - start) : i * step) + start;
  out[BINS] = stop;
  return out;
}

/** openpi's `get_statistics`: quantiles are left edges of the first bin that reaches `q · count`. */
export function upstreamStatistics(stats: UpstreamStats): NormStats {
  const round = stats.float32 ? Math.fround : (v: number): number => v;
  const quantile = (q: number): Float64Array =>
    Float64Array.from(stats.histograms, (histogram, d) => {
      let sum = 0;
      let bin = 0;
      for (; bin < BINS; bin++) {
        sum += histogram[bin]!;
        if (sum >= q * stats.count) break;
      }
      return stats.binEdges[d]![bin]!;
    });
  return {
    mean: stats.mean.slice(),
    std: stats.meanOfSquares.map((s, d) =>
      round(Math.sqrt(Math.max(0, round(s - round(stats.mean[d]! * stats.mean[d]!))))),
    ),
    q01: quantile(0.01),
    q99: quantile(0.99),
  };
}
