/**
 * @file Dimensions that normalisation would blow up. With q99 ≈ q01 the formula divides by its 1e-6, a value
 * one hundredth outside becomes 20 000, the FAST tokenizer sees impossible coefficients and the loss explodes.
 */
import type { NormStatsMap } from "./norm-stats.js";

/** One dimension that carries no spread. */
export interface Degenerate {
  key: string;
  dim: number;
  /** The dimension's name, when names were given. */
  name?: string;
  /** What is too small: the quantile range `q99 - q01`, or the standard deviation. */
  measure: "range" | "std";
  value: number;
  limit: number;
  /** The whole finding in one line. */
  message: string;
}

/**
 * Dimensions whose quantile range (where there are quantiles) or standard deviation is below a limit, in the
 * order of the statistics. An empty list means that both normalisations are safe.
 */
export function findDegenerate(
  stats: NormStatsMap,
  options: {
    /** Key → names of its dims, for messages. */
    names?: Readonly<Record<string, readonly string[]>>;
    /** Smallest acceptable `q99 - q01`, in the data's unit. */
    minRange?: number;
    /** Smallest acceptable standard deviation. */
    minStd?: number;
  } = {},
): Degenerate[] {
  const { names, minRange = 1e-3, minStd = 2.5e-4 } = options;
  const found: Degenerate[] = [];
  for (const [key, s] of Object.entries(stats)) {
    for (let dim = 0; dim < s.mean.length; dim++) {
      const name = names?.[key]?.[dim];
      const add = (measure: Degenerate["measure"], value: number, limit: number, text: string): void => {
        // `!(>=)` also catches NaN
        if (!(value >= limit)) {
          const message = `${key}[${dim}]${name ? ` (${name})` : ""}: ${text}, below ${limit}`;
          found.push({ key, dim, ...(name === undefined ? {} : { name }), measure, value, limit, message });
        }
      };
      if (s.q01 && s.q99) {
        const [low, high] = [s.q01[dim]!, s.q99[dim]!];
        add("range", high - low, minRange, `q99 - q01 = ${high} - ${low} = ${high - low}`);
      }
      add("std", s.std[dim]!, minStd, `std = ${s.std[dim]}`);
    }
  }
  return found;
}
