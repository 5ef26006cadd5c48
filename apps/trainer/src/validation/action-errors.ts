/** @file Predicted action chunks against recorded ones: mean absolute errors per dim, in the robot's units. */
import type { NdArray, Sample } from "@insula/model-types";
import type { RobotSpec } from "../data/robots.js";

/** What the demonstrator did from a frame on. */
export interface RecordedChunk {
  /** `[horizon, dim]`, in the dataset's units. */
  actions: NdArray;
  /** Steps before the episode's end; those behind repeat the last and are not compared. */
  steps: number;
}

/** The recorded chunk of a dataset sample that was read with `actionHorizon`. */
export function recordedChunk(sample: Sample, { actionKey }: RobotSpec): RecordedChunk {
  const { data: isPad } = sample[`${actionKey}_is_pad`] as NdArray;
  const end = (isPad as Uint8Array).indexOf(1);
  return { actions: sample[actionKey] as NdArray, steps: end < 0 ? isPad.length : end };
}

/** A running sum of errors. */
export interface ErrorSum {
  /** Adds a chunk `[horizon, dim]`. */
  add(predicted: NdArray, recorded: RecordedChunk): void;
  /** Mean absolute error per dim over all steps compared; NaN when none was. */
  perDim(): number[];
  /** Chunks and single steps compared. */
  chunks(): number;
  actions(): number;
}

/** An empty sum over `dim` action dims. */
export function errorSum(dim: number): ErrorSum {
  const sums = new Float64Array(dim);
  let chunks = 0;
  let actions = 0;
  return {
    add(predicted, { actions: recorded, steps }) {
      chunks += 1;
      actions += steps;
      for (let i = 0; i < steps * dim; i++) {
        sums[i % dim]! += Math.abs(Number(predicted.data[i]) - Number(recorded.data[i]));
      }
    },
    perDim: () => Array.from(sums, (sum) => sum / actions),
    chunks: () => chunks,
    actions: () => actions,
  };
}

/**
 * The mean over dims of the error divided by the yardstick's: units fall out, 1 is no better than the yardstick, 0 is
 * perfect. Dims in which the yardstick makes no error say nothing and are left out.
 */
export function relativeError(errors: readonly number[], yardstick: readonly number[]): number {
  const ratios = errors.flatMap((error, d) => (yardstick[d]! > 0 ? [error / yardstick[d]!] : []));
  return ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
}
