/**
 * @file Running statistics as one flat float64 array, for collectives that move arrays of one length between ranks.
 * States of one width all pack to the same length; merging is exact for counts, extremes and quantiles.
 */
import { InsulaError } from "@insula/model-types";
import { BINS, type Histogram } from "./histogram.js";
import type { ExactStats } from "./running-stats.js";

const FORMAT = 1;
/** Format, count, width. */
const HEAD = 3;
/** Mean, m2, min, max; exponent and first bin of a histogram; its counts. */
const PER_DIM = 4 + 2 + BINS;

/** Numbers in a packed state of vectors of `dim` dims. */
export function packedLength(dim: number): number {
  return HEAD + dim * PER_DIM;
}

/** `stats` as `[packedLength(dim)]` numbers; an empty state packs to zeros behind its head. */
export function packRunningStats(stats: ExactStats, dim: number = stats.mean.length): Float64Array {
  if (stats.count > 0 && dim !== stats.mean.length) {
    throw new InsulaError(
      "norm-stats/width",
      `packRunningStats: expected vectors of ${dim} dims, found ${stats.mean.length}`,
    );
  }
  const out = new Float64Array(packedLength(dim));
  out.set([FORMAT, stats.count, dim]);
  if (stats.count === 0) return out;
  [stats.mean, stats.m2, stats.min, stats.max].forEach((x, i) => {
    out.set(x, HEAD + i * dim);
  });
  for (const [d, { exponent, first, counts }] of stats.histograms.entries()) {
    const at = HEAD + 4 * dim + d * (2 + BINS);
    out.set([exponent, first], at);
    out.set(counts, at + 2);
  }
  return out;
}

/**
 * The state that was packed.
 * @throws InsulaError `norm-stats/packed` when `packed` is none.
 */
export function unpackRunningStats(packed: Float64Array): ExactStats {
  const [format, count, dim] = packed as unknown as [number, number, number];
  const sound = [count, dim].every((n) => Number.isSafeInteger(n) && n >= 0);
  if (format !== FORMAT || !sound || packed.length !== packedLength(dim)) {
    throw new InsulaError(
      "norm-stats/packed",
      `unpackRunningStats: expected a packed state, found ${packed.length} numbers, the first ${packed.slice(0, HEAD).join(", ")}`,
    );
  }
  const width = count === 0 ? 0 : dim;
  const vector = (i: number): Float64Array => packed.slice(HEAD + i * dim, HEAD + i * dim + width);
  const histograms = Array.from({ length: width }, (_, d): Histogram => {
    const at = HEAD + 4 * dim + d * (2 + BINS);
    return { exponent: packed[at]!, first: packed[at + 1]!, counts: packed.slice(at + 2, at + 2 + BINS) };
  });
  return {
    kind: "exact",
    count,
    mean: vector(0),
    m2: vector(1),
    min: vector(2),
    max: vector(3),
    histograms,
  };
}
