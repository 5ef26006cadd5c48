/**
 * @file What a FAST tokenizer does to chunks that it was not fitted on: how many tokens they take, what rounding costs in
 * the robot's own units, and which chunks do not come back.
 */
import { InsulaError, type NdArray } from "@insula/model-types";
import type { FastActionTokenizer } from "./fast-action-tokenizer.js";

/** What a report is made with. */
export interface FastReportOptions {
  /**
   * Physical units per normalised unit of each dimension, `[dim]`, for errors in metres and radians: `(q99 - q01) / 2`
   * where quantiles became −1…1, the standard deviation for a z-score. Default 1: normalised units.
   */
  units?: ArrayLike<number>;
}

/** A chunk that did not come back. */
export interface FastReportFailure {
  /** Its place among the chunks. */
  chunk: number;
  /** `fast/…`, as `encode` or `decode` throws it. */
  code: string;
  message: string;
}

/** How a tokenizer does on chunks. */
export interface FastReport {
  /** How many there were, failures included. */
  chunks: number;
  /** Of the chunks that came back; zeros when none did. Percentiles interpolate linearly. */
  tokensPerChunk: { mean: number; p50: number; p99: number; max: number };
  /** Numbers per token, over the chunks that came back. One token per number would be 1. */
  compressionRatio: number;
  /** Root of the mean squared error of each dimension, `[dim]`, in `units`. */
  rmse: number[];
  /** Largest error of each dimension, `[dim]`, in `units`. */
  maxError: number[];
  failures: FastReportFailure[];
}

/**
 * Encode and decode chunks that were held out from a fit.
 * @param chunks each `[horizon, dim]`, normalised as for `encode`; horizons may differ. Taken one at a time.
 * @throws InsulaError `fast/report` when there are no chunks, their dims differ, or `units` are not one per dimension.
 */
export function reportFast(
  tokenizer: FastActionTokenizer,
  chunks: Iterable<NdArray>,
  options: FastReportOptions = {},
): FastReport {
  const { units } = options;
  const lengths: number[] = [];
  const failures: FastReportFailure[] = [];
  let squares: number[] | undefined;
  let largest: number[] = [];
  let count = 0;
  let steps = 0;
  for (const chunk of chunks) {
    const dim = chunk.shape.at(-1) ?? 0;
    if (squares === undefined) {
      if (units && units.length !== dim) {
        throw new InsulaError("fast/report", `reportFast: units: expected [${dim}], found [${units.length}]`);
      }
      squares = new Array<number>(dim).fill(0);
      largest = new Array<number>(dim).fill(0);
    } else if (dim !== squares.length) {
      throw new InsulaError(
        "fast/report",
        `reportFast: chunk ${count}: expected [*, ${squares.length}] as before, found [${chunk.shape.join(", ")}]`,
      );
    }
    const result = roundTrip(tokenizer, chunk);
    if ("code" in result) failures.push({ chunk: count, ...result });
    else {
      lengths.push(result.tokens);
      steps += chunk.shape[0]!;
      for (let i = 0; i < chunk.data.length; i++) {
        const d = i % dim;
        const error = Math.abs(result.actions[i]! - (chunk.data[i] as number)) * Math.abs(units?.[d] ?? 1);
        squares[d]! += error * error;
        if (error > largest[d]!) largest[d] = error;
      }
    }
    count++;
  }
  if (squares === undefined) throw new InsulaError("fast/report", "reportFast: expected at least one chunk");

  lengths.sort((a, b) => a - b);
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  return {
    chunks: count,
    tokensPerChunk: {
      mean: lengths.length ? tokens / lengths.length : 0,
      p50: percentile(lengths, 0.5),
      p99: percentile(lengths, 0.99),
      max: lengths.at(-1) ?? 0,
    },
    compressionRatio: tokens ? (steps * squares.length) / tokens : 0,
    rmse: squares.map((sum) => (steps ? Math.sqrt(sum / steps) : 0)),
    maxError: largest,
    failures,
  };
}

function roundTrip(
  tokenizer: FastActionTokenizer,
  chunk: NdArray,
): { tokens: number; actions: Float64Array } | { code: string; message: string } {
  try {
    const ids = tokenizer.encode(chunk);
    const [horizon, dim] = chunk.shape as [number, number];
    return { tokens: ids.length, actions: tokenizer.decode(ids, { horizon, dim }).actions.data };
  } catch (error) {
    if (error instanceof InsulaError) return { code: error.code, message: error.message };
    throw error;
  }
}

/** Of ascending numbers, interpolated linearly (numpy's default); 0 of none. */
function percentile(sorted: readonly number[], q: number): number {
  const at = q * (sorted.length - 1);
  const low = sorted[Math.floor(at)] ?? 0;
  return low + (at - Math.floor(at)) * ((sorted[Math.ceil(at)] ?? low) - low);
}
