/**
 * @file Statistics of an episode and their aggregate, as LeRobot keeps them (`datasets/compute_stats.py`):
 * min, max, mean, std, count and quantiles per element of a feature; per channel, in units of [0, 1], for
 * images. Over episodes, means and variances combine exactly (parallel variance), quantiles by weighted mean.
 * Normalisation for training does not use these: it has its own statistics.
 */
import { type NdArray, sizeOf } from "@insula/model-types";

const QUANTILES: Record<string, number> = { q01: 0.01, q10: 0.1, q50: 0.5, q90: 0.9, q99: 0.99 };

/** Images looked at per camera and episode: enough for channel statistics, cheap for long episodes. */
const IMAGE_SAMPLES = 16;

/** Flat statistics of one feature: each array has one entry per element (or channel). */
export interface FeatureStats {
  min: number[];
  max: number[];
  mean: number[];
  std: number[];
  count: number;
  quantiles: Record<string, number[]>;
}

/**
 * Statistics over the rows of `array` `[frames, ...shape]`, for each of its elements. With fewer (`dim`), over the
 * leading axes, too: LeRobot 0.4 has one value per element of a matrix's last axis.
 */
export function numericStats(array: NdArray, dim: number = sizeOf(array.shape.slice(1))): FeatureStats {
  const frames = array.shape[0]!;
  const rows = array.data.length / dim;
  const stats: FeatureStats = empty(frames);
  for (let d = 0; d < dim; d++) {
    const column = new Float64Array(rows);
    for (let i = 0; i < rows; i++) column[i] = Number(array.data[i * dim + d]);
    push(stats, column.sort(), (sorted, q) => {
      const at = q * (sorted.length - 1);
      const low = Math.floor(at);
      return sorted[low]! + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)]! - sorted[low]!);
    });
  }
  return stats;
}

/** Per-channel statistics of up to {@link IMAGE_SAMPLES} frames spread over an episode. */
export interface PixelStats {
  /** Whether frame `i` is one of those looked at. */
  wants(i: number): boolean;
  /** Count the pixels, packed RGB, of a wanted frame. */
  add(pixels: Uint8Array): void;
  finish(): FeatureStats;
}

/** Collect the statistics of an episode of `frames` pictures. */
export function pixelStats(frames: number): PixelStats {
  const count = Math.min(IMAGE_SAMPLES, frames);
  const wanted = new Set(Array.from({ length: count }, (_, s) => Math.floor((s * frames) / count)));
  const histograms = [0, 1, 2].map(() => new Float64Array(256));
  return {
    wants: (i) => wanted.has(i),
    add(pixels) {
      const [r, g, b] = histograms as [Float64Array, Float64Array, Float64Array];
      for (let i = 0; i < pixels.length; i += 3) {
        r[pixels[i]!]!++;
        g[pixels[i + 1]!]!++;
        b[pixels[i + 2]!]!++;
      }
    },
    finish() {
      const stats: FeatureStats = empty(count);
      for (const histogram of histograms) pushHistogram(stats, histogram);
      return stats;
    },
  };
}

function empty(count: number, names: readonly string[] = Object.keys(QUANTILES)): FeatureStats {
  const quantiles = Object.fromEntries(names.map((q) => [q, [] as number[]]));
  return { min: [], max: [], mean: [], std: [], count, quantiles };
}

function push(
  stats: FeatureStats,
  sorted: Float64Array,
  quantile: (sorted: Float64Array, q: number) => number,
): void {
  const mean = sorted.reduce((sum, x) => sum + x, 0) / sorted.length;
  const variance = sorted.reduce((sum, x) => sum + (x - mean) ** 2, 0) / sorted.length;
  stats.min.push(sorted[0]!);
  stats.max.push(sorted[sorted.length - 1]!);
  stats.mean.push(mean);
  stats.std.push(Math.sqrt(variance));
  for (const [name, q] of Object.entries(QUANTILES)) stats.quantiles[name]!.push(quantile(sorted, q));
}

function pushHistogram(stats: FeatureStats, histogram: Float64Array): void {
  const total = histogram.reduce((sum, n) => sum + n, 0);
  const mean = histogram.reduce((sum, n, v) => sum + n * v, 0) / total;
  const variance = histogram.reduce((sum, n, v) => sum + n * (v - mean) ** 2, 0) / total;
  const level = (rank: number): number => {
    let seen = 0;
    for (let v = 0; v < 256; v++) if ((seen += histogram[v]!) > rank) return v / 255;
    return 1;
  };
  stats.min.push(level(0));
  stats.max.push(level(total - 1));
  stats.mean.push(mean / 255);
  stats.std.push(Math.sqrt(variance) / 255);
  for (const [name, q] of Object.entries(QUANTILES)) stats.quantiles[name]!.push(level(q * (total - 1)));
}

/** Combine statistics of disjoint episodes: quantiles that all of them have. */
export function aggregateStats(parts: readonly FeatureStats[]): FeatureStats {
  const count = parts.reduce((sum, p) => sum + p.count, 0);
  const weighted = (of: (p: FeatureStats) => number): number =>
    parts.reduce((sum, p) => sum + p.count * of(p), 0) / count;
  const quantiles = Object.keys(parts[0]!.quantiles).filter((q) => parts.every((p) => p.quantiles[q]));
  const out = empty(count, quantiles);
  for (let d = 0; d < parts[0]!.mean.length; d++) {
    const mean = weighted((p) => p.mean[d]!);
    out.min.push(parts.reduce((m, p) => Math.min(m, p.min[d]!), Number.POSITIVE_INFINITY));
    out.max.push(parts.reduce((m, p) => Math.max(m, p.max[d]!), Number.NEGATIVE_INFINITY));
    out.mean.push(mean);
    out.std.push(Math.sqrt(weighted((p) => p.std[d]! ** 2 + (p.mean[d]! - mean) ** 2)));
    for (const q of quantiles) out.quantiles[q]!.push(weighted((p) => p.quantiles[q]![d]!));
  }
  return out;
}

/** A statistic as LeRobot nests it: shaped like the feature, or `[channels, 1, 1]` for images. */
export type StatValue = number | StatValue[];

/** The named statistics of a feature, nested as in meta/stats.json. */
export function statEntries(stats: FeatureStats, shape: readonly number[]): [string, StatValue][] {
  const { count, quantiles, ...rest } = stats;
  return [
    ...Object.entries({ ...rest, ...quantiles }).map(([name, flat]): [string, StatValue] => [
      name,
      nest(flat, shape),
    ]),
    ["count", [count]],
  ];
}

/**
 * The statistics of a feature from their named, nested form; undefined when one of min, max, mean, std and count
 * is not there.
 */
export function parseStats(entry: (stat: string) => unknown): FeatureStats | undefined {
  const flat = (value: unknown): number[] =>
    typeof value === "object" && value !== null
      ? Array.from(value as ArrayLike<unknown>).flatMap(flat)
      : [Number(value)];
  const values = ["min", "max", "mean", "std", "count"].map(entry);
  if (values.some((value) => value === undefined || value === null)) return undefined;
  const [min, max, mean, std, [count]] = values.map(flat) as [
    number[],
    number[],
    number[],
    number[],
    [number],
  ];
  const quantiles = Object.keys(QUANTILES).flatMap((q) => {
    const value = entry(q);
    return value === undefined || value === null ? [] : [[q, flat(value)] as const];
  });
  return { min, max, mean, std, count, quantiles: Object.fromEntries(quantiles) };
}

function nest(flat: readonly number[], shape: readonly number[]): StatValue {
  if (shape.length <= 1) return [...flat];
  const stride = sizeOf(shape.slice(1));
  return Array.from({ length: shape[0]! }, (_, i) =>
    nest(flat.slice(i * stride, (i + 1) * stride), shape.slice(1)),
  );
}
