/**
 * @file Normalisation of states and actions and its inverse (openpi `Normalize`, `Unnormalize`; by extremes as
 * LeRobot's `MIN_MAX`), in float64 whatever the input. Nothing is clipped. The 1e-6 of the formulas is upstream's;
 * a dimension without spread is thereby blown up, which `findDegenerate` reports beforehand.
 */
import { InsulaError, type Leaf, type NdArray } from "@insula/model-types";
import { asArray, lastDim, numbersOf, shapeText } from "./arrays.js";
import { type NormMethod, requireSpread } from "./stats/degenerate.js";
import type { NormStats, NormStatsMap } from "./stats/norm-stats.js";
import { named, type Transform } from "./transform.js";
import { applyTree } from "./tree.js";

const EPSILON = 1e-6;

/** Which formula, and whether keys may be missing. Defaults, upstream's: z-scores, missing keys skipped. */
export interface NormalizeOptions {
  /** Map [q01, q99] to [-1, 1] rather than z-scores. All model types but pi0 (`usesQuantileNorm`). */
  useQuantiles?: boolean;
  /** The same choice by name, and `minmax`, which maps [min, max] to [-1, 1]; wins over `useQuantiles`. */
  method?: NormMethod;
  /** Every key of the statistics must be in the sample. */
  strict?: boolean;
  /** Refuse statistics with a dimension that has no spread (`requireSpread`). Default: take them, as upstream. */
  onDegenerate?: "ignore" | "error";
}

/**
 * Normalise every key that `stats` has: `(x - mean) / (std + 1e-6)`, by quantiles
 * `(x - q01) / (q99 - q01 + 1e-6) * 2 - 1`, by extremes the same with `min` and `max`. Statistics wider than the
 * data are cut to its width. Keys without statistics (`actions_is_pad`) pass through; without `stats`, the
 * identity. Upstream: `Normalize`.
 * @throws InsulaError at once: `transforms/no-quantiles`, `transforms/no-min-max`, `norm-stats/degenerate` (if asked
 * for); `transforms/stats-width` for statistics narrower than the data, `transforms/not-finite` naming key, index
 * and dim, `transforms/missing-key` with `strict`.
 */
export function normalize(stats: NormStatsMap | undefined, options: NormalizeOptions = {}): Transform {
  const { strict = false } = options;
  const method = methodOf(options);
  if (stats) {
    requireStats("normalize", stats, method);
    if (options.onDegenerate === "error") requireSpread(stats, { method });
  }
  return named("normalize", (sample) =>
    stats
      ? applyTree(sample, stats, (leaf, s, key) => normalizeLeaf(leaf, s, key, method), {
          strict,
          caller: "normalize",
        })
      : sample,
  );
}

/**
 * The inverse of {@link normalize}. Strict: every key of `stats` must be in the sample. Dims beyond the
 * statistics (padding) stay as they are with quantiles and extremes, and are multiplied by 1 + 1e-6 with z-scores,
 * as upstream. Upstream: `Unnormalize`.
 * @throws InsulaError `transforms/missing-key`, `transforms/stats-width` for statistics wider than the data,
 * and at once `transforms/no-quantiles`, `transforms/no-min-max`.
 */
export function unnormalize(
  stats: NormStatsMap | undefined,
  options: Pick<NormalizeOptions, "useQuantiles" | "method"> = {},
): Transform {
  const method = methodOf(options);
  if (stats) requireStats("unnormalize", stats, method);
  return named("unnormalize", (sample) =>
    stats
      ? applyTree(sample, stats, (leaf, s, key) => unnormalizeLeaf(leaf, s, key, method), {
          strict: true,
          caller: "unnormalize",
        })
      : sample,
  );
}

const methodOf = ({ method, useQuantiles }: NormalizeOptions): NormMethod =>
  method ?? (useQuantiles ? "quantile" : "zscore");

/** What is subtracted, and the other end of the range (of z-scores, the deviation). */
function shiftAndUpper(s: NormStats, method: NormMethod): [Float64Array, Float64Array] {
  if (method === "quantile") return [s.q01!, s.q99!];
  return method === "minmax" ? [s.min!, s.max!] : [s.mean, s.std];
}

function normalizeLeaf(leaf: Leaf, stats: NormStats, key: string, method: NormMethod): NdArray {
  const x = asArray("normalize", key, leaf);
  const width = lastDim(x);
  const [shift, upper] = shiftAndUpper(stats, method);
  const isRange = method !== "zscore";
  if (shift.length < width) throw widthError("normalize", key, x, shift.length, "at least");
  const from = numbersOf(x.data);
  const data = new Float64Array(from.length);
  for (let d = 0; d < width; d++) {
    const low = shift[d]!;
    const spread = (isRange ? upper[d]! - low : upper[d]!) + EPSILON;
    for (let i = d; i < data.length; i += width) {
      const v = from[i]!;
      if (!Number.isFinite(v)) {
        throw new InsulaError(
          "transforms/not-finite",
          `normalize: ${key}: found ${v} at dim ${d} of row ${(i - d) / width} (shape ${shapeText(x.shape)}); ` +
            "repair or drop this sample",
        );
      }
      data[i] = isRange ? ((v - low) / spread) * 2 - 1 : (v - low) / spread;
    }
  }
  return { data, shape: x.shape };
}

function unnormalizeLeaf(leaf: Leaf, stats: NormStats, key: string, method: NormMethod): NdArray {
  const x = asArray("unnormalize", key, leaf);
  const width = lastDim(x);
  const [shift, upper] = shiftAndUpper(stats, method);
  const isRange = method !== "zscore";
  if (shift.length > width) throw widthError("unnormalize", key, x, shift.length, "at most");
  const from = numbersOf(x.data);
  const data = Float64Array.from(from);
  // numpy keeps (x + 1) / 2 in x's own precision before the float64 statistics widen it
  const half =
    x.data instanceof Float32Array ? (v: number) => Math.fround(v + 1) / 2 : (v: number) => (v + 1) / 2;
  for (let d = 0; d < width; d++) {
    const known = d < shift.length;
    if (isRange && !known) continue;
    const low = known ? shift[d]! : 0;
    const spread = (known ? (isRange ? upper[d]! - low : upper[d]!) : 1) + EPSILON;
    for (let i = d; i < data.length; i += width) {
      data[i] = (isRange ? half(from[i]!) : from[i]!) * spread + low;
    }
  }
  return { data, shape: x.shape };
}

function requireStats(caller: string, stats: NormStatsMap, method: NormMethod): void {
  for (const [key, s] of Object.entries(stats)) {
    if (method === "quantile" && !(s.q01 && s.q99)) {
      throw new InsulaError(
        "transforms/no-quantiles",
        `${caller}: quantile stats must be provided if useQuantiles is set: key '${key}' has no ` +
          `${s.q01 ? "q99" : "q01"}; compute the statistics again, or use z-scores (useQuantiles: false)`,
      );
    }
    if (method === "minmax" && !(s.min && s.max)) {
      throw new InsulaError(
        "transforms/no-min-max",
        `${caller}: key '${key}' has no ${s.min ? "max" : "min"}; compute the statistics with ` +
          "getStatistics(…, { minMax: true }), or use quantiles or z-scores",
      );
    }
  }
}

function widthError(caller: string, key: string, x: NdArray, found: number, bound: string): InsulaError {
  return new InsulaError(
    "transforms/stats-width",
    `${caller}: ${key}: expected statistics of ${bound} ${lastDim(x)} dims for data of shape ` +
      `${shapeText(x.shape)}, found ${found}; they belong to another robot or action space`,
  );
}
