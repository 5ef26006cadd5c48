/**
 * @file Dimensions whose extremes lie far outside the range that normalisation maps to [-1, 1]. A few wild values
 * become tens or hundreds after it: they rule the flow loss of their batch, and FAST clips or misspells them.
 */
import { InsulaError } from "@insula/model-types";
import type { NormStatsMap } from "./norm-stats.js";

/** One dimension with a heavy tail. */
export interface HeavyTail {
  key: string;
  dim: number;
  /** The dimension's name, when names were given. */
  name?: string;
  /** `(max - min) / (q99 - q01)`: 1 for uniform values, about 2 for normal ones. */
  ratio: number;
  limit: number;
  /** The largest magnitude of a value normalised by quantiles. */
  reach: number;
  /** The whole finding in one line. */
  message: string;
}

/** From which ratio on a tail counts as heavy, and how dims are called. */
export interface HeavyTailOptions {
  /** Key → names of its dims, for messages. */
  names?: Readonly<Record<string, readonly string[]>>;
  /** Largest acceptable `(max - min) / (q99 - q01)`. Default: 8; ten million normal values reach 2.3. */
  maxRatio?: number;
}

/**
 * Dimensions whose `max - min` is more than `maxRatio` times `q99 - q01`, in the order of the statistics. A dimension
 * without range between the quantiles is left to `findDegenerate`.
 * @throws InsulaError `norm-stats/no-extremes` for statistics without quantiles or extremes (`getStatistics(…, {
 * minMax: true })` has both).
 */
export function findHeavyTails(stats: NormStatsMap, options: HeavyTailOptions = {}): HeavyTail[] {
  const { names, maxRatio = 8 } = options;
  const found: HeavyTail[] = [];
  for (const [key, { q01, q99, min, max }] of Object.entries(stats)) {
    if (!(q01 && q99 && min && max)) {
      throw new InsulaError(
        "norm-stats/no-extremes",
        `findHeavyTails: ${key}: expected q01, q99, min and max; compute them with getStatistics(…, { minMax: true })`,
      );
    }
    for (let dim = 0; dim < q01.length; dim++) {
      const [low, high, least, most] = [q01[dim]!, q99[dim]!, min[dim]!, max[dim]!];
      const range = high - low;
      const ratio = (most - least) / range;
      if (!(range > 0 && ratio > maxRatio)) continue;
      const name = names?.[key]?.[dim];
      const reach = Math.max(high + low - 2 * least, 2 * most - high - low) / range;
      const message =
        `${key}[${dim}]${name ? ` (${name})` : ""}: heavy tail: min ${short(least)} … max ${short(most)} is ` +
        `${short(ratio)} times q01 ${short(low)} … q99 ${short(high)}; normalised values reach ±${short(reach)}`;
      found.push({
        key,
        dim,
        ...(name === undefined ? {} : { name }),
        ratio,
        limit: maxRatio,
        reach,
        message,
      });
    }
  }
  return found;
}

const short = (v: number): string => String(Number(v.toPrecision(3)));
