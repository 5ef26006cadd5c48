/**
 * @file Normalisation of states and actions and its inverse (openpi `Normalize`, `Unnormalize`), in float64
 * whatever the input. Nothing is clipped. The 1e-6 of both formulas is upstream's; a dimension without spread
 * is thereby blown up, which `findDegenerate` reports beforehand.
 */
import { InsulaError, type Leaf, type NdArray } from "@insula/model-types";
import { asArray, lastDim, numbersOf, shapeText } from "./arrays.js";
import type { NormStats, NormStatsMap } from "./stats/norm-stats.js";
import { named, type Transform } from "./transform.js";
import { applyTree } from "./tree.js";

const EPSILON = 1e-6;

/** Which formula, and whether keys may be missing. Defaults, upstream's: z-scores, missing keys skipped. */
export interface NormalizeOptions {
  /** Map [q01, q99] to [-1, 1] rather than z-scores. All model types but pi0 (`usesQuantileNorm`). */
  useQuantiles?: boolean;
  /** Every key of the statistics must be in the sample. */
  strict?: boolean;
}

/**
 * Normalise every key that `stats` has: `(x - mean) / (std + 1e-6)`, or with `useQuantiles`
 * `(x - q01) / (q99 - q01 + 1e-6) * 2 - 1`. Statistics wider than the data are cut to its width. Keys without
 * statistics (`actions_is_pad`) pass through; without `stats`, the identity. Upstream: `Normalize`.
 * @throws InsulaError `transforms/no-quantiles` (at once), `transforms/stats-width` for statistics narrower
 * than the data, `transforms/not-finite` naming key, index and dim, `transforms/missing-key` with `strict`.
 */
export function normalize(stats: NormStatsMap | undefined, options: NormalizeOptions = {}): Transform {
  const { useQuantiles = false, strict = false } = options;
  if (stats && useQuantiles) requireQuantiles("normalize", stats);
  return named("normalize", (sample) =>
    stats
      ? applyTree(sample, stats, (leaf, s, key) => normalizeLeaf(leaf, s, key, useQuantiles), {
          strict,
          caller: "normalize",
        })
      : sample,
  );
}

/**
 * The inverse of {@link normalize}. Strict: every key of `stats` must be in the sample. Dims beyond the
 * statistics (padding) stay as they are with quantiles and are multiplied by 1 + 1e-6 with z-scores, as
 * upstream. Upstream: `Unnormalize`.
 * @throws InsulaError `transforms/missing-key`, `transforms/stats-width` for statistics wider than the data,
 * `transforms/no-quantiles` (at once).
 */
export function unnormalize(
  stats: NormStatsMap | undefined,
  options: Pick<NormalizeOptions, "useQuantiles"> = {},
): Transform {
  const { useQuantiles = false } = options;
  if (stats && useQuantiles) requireQuantiles("unnormalize", stats);
  return named("unnormalize", (sample) =>
    stats
      ? applyTree(sample, stats, (leaf, s, key) => unnormalizeLeaf(leaf, s, key, useQuantiles), {
          strict: true,
          caller: "unnormalize",
        })
      : sample,
  );
}

function normalizeLeaf(leaf: Leaf, stats: NormStats, key: string, useQuantiles: boolean): NdArray {
  const x = asArray("normalize", key, leaf);
  const width = lastDim(x);
  const shift = useQuantiles ? stats.q01! : stats.mean;
  const upper = useQuantiles ? stats.q99! : stats.std;
  if (shift.length < width) throw widthError("normalize", key, x, shift.length, "at least");
  const from = numbersOf(x.data);
  const data = new Float64Array(from.length);
  for (let d = 0; d < width; d++) {
    const low = shift[d]!;
    const spread = (useQuantiles ? upper[d]! - low : upper[d]!) + EPSILON;
    for (let i = d; i < data.length; i += width) {
      const v = from[i]!;
      if (!Number.isFinite(v)) {
        throw new InsulaError(
          "transforms/not-finite",
          `normalize: ${key}: found ${v} at dim ${d} of row ${(i - d) / width} (shape ${shapeText(x.shape)}); ` +
            "repair or drop this sample",
        );
      }
      data[i] = useQuantiles ? ((v - low) / spread) * 2 - 1 : (v - low) / spread;
    }
  }
  return { data, shape: x.shape };
}

function unnormalizeLeaf(leaf: Leaf, stats: NormStats, key: string, useQuantiles: boolean): NdArray {
  const x = asArray("unnormalize", key, leaf);
  const width = lastDim(x);
  const shift = useQuantiles ? stats.q01! : stats.mean;
  const upper = useQuantiles ? stats.q99! : stats.std;
  if (shift.length > width) throw widthError("unnormalize", key, x, shift.length, "at most");
  const from = numbersOf(x.data);
  const data = Float64Array.from(from);
  // numpy keeps (x + 1) / 2 in x's own precision before the float64 statistics widen it
  const half =
    x.data instanceof Float32Array ? (v: number) => Math.fround(v + 1) / 2 : (v: number) => (v + 1) / 2;
  for (let d = 0; d < width; d++) {
    const known = d < shift.length;
    if (useQuantiles && !known) continue;
    const low = known ? shift[d]! : 0;
    const spread = (known ? (useQuantiles ? upper[d]! - low : upper[d]!) : 1) + EPSILON;
    for (let i = d; i < data.length; i += width) {
      data[i] = (useQuantiles ? half(from[i]!) : from[i]!) * spread + low;
    }
  }
  return { data, shape: x.shape };
}

function requireQuantiles(caller: string, stats: NormStatsMap): void {
  for (const [key, s] of Object.entries(stats)) {
    if (s.q01 && s.q99) continue;
    throw new InsulaError(
      "transforms/no-quantiles",
      `${caller}: quantile stats must be provided if useQuantiles is set: key '${key}' has no ` +
        `${s.q01 ? "q99" : "q01"}; compute the statistics again, or use z-scores (useQuantiles: false)`,
    );
  }
}

function widthError(caller: string, key: string, x: NdArray, found: number, bound: string): InsulaError {
  return new InsulaError(
    "transforms/stats-width",
    `${caller}: ${key}: expected statistics of ${bound} ${lastDim(x)} dims for data of shape ` +
      `${shapeText(x.shape)}, found ${found}; they belong to another robot or action space`,
  );
}
