/**
 * @file Dimensions that normalisation would blow up. With q99 ≈ q01 the formula divides by its 1e-6, a value
 * one hundredth outside becomes 20 000, the FAST tokenizer sees impossible coefficients and the loss explodes.
 */
import { InsulaError } from "@insula/model-types";
import type { NormStatsMap } from "./norm-stats.js";

/** The three normalisations: by mean and deviation, by the 1 % and 99 % quantiles, by the extremes. */
export type NormMethod = "zscore" | "quantile" | "minmax";

/** One dimension that carries no spread. */
export interface Degenerate {
  key: string;
  dim: number;
  /** The dimension's name, when names were given. */
  name?: string;
  /** What is too small: the range `q99 - q01`, the standard deviation, or the span `max - min`. */
  measure: "range" | "std" | "span";
  value: number;
  limit: number;
  /** The whole finding in one line. */
  message: string;
}

/** What counts as no spread, and how dims are called. */
export interface DegenerateOptions {
  /** Look only at what this normalisation divides by. Default: at all that there is. */
  method?: NormMethod;
  /** Key → names of its dims, for messages. */
  names?: Readonly<Record<string, readonly string[]>>;
  /** Smallest acceptable `q99 - q01` or `max - min`, in the data's unit. */
  minRange?: number;
  /** Smallest acceptable standard deviation. */
  minStd?: number;
}

/**
 * Dimensions whose range (where there are quantiles or extremes) or standard deviation is below a limit, in the
 * order of the statistics. An empty list means that normalisation is safe.
 */
export function findDegenerate(stats: NormStatsMap, options: DegenerateOptions = {}): Degenerate[] {
  const { method, names, minRange = 1e-3, minStd = 2.5e-4 } = options;
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
      const span = (measure: "range" | "span", text: string, low: number, high: number): void =>
        add(measure, high - low, minRange, `${text} = ${high} - ${low} = ${high - low}`);
      const looksAt = (other: NormMethod): boolean => method === undefined || method === other;
      if (s.q01 && s.q99 && looksAt("quantile")) span("range", "q99 - q01", s.q01[dim]!, s.q99[dim]!);
      if (looksAt("zscore")) add("std", s.std[dim]!, minStd, `std = ${s.std[dim]}`);
      if (s.min && s.max && looksAt("minmax")) span("span", "max - min", s.min[dim]!, s.max[dim]!);
    }
  }
  return found;
}

/**
 * Refuse statistics that {@link findDegenerate} finds fault with.
 * @throws InsulaError `norm-stats/degenerate` naming every such dimension and its value.
 */
export function requireSpread(stats: NormStatsMap, options: DegenerateOptions = {}): void {
  const found = findDegenerate(stats, options);
  if (found.length === 0) return;
  throw new InsulaError(
    "norm-stats/degenerate",
    `requireSpread: ${found.map((f) => f.message).join("; ")}. Normalisation would divide by almost nothing: leave ` +
      "these dimensions out, record data in which they move, or give statistics with a wider range",
  );
}
