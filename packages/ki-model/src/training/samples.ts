/** @file Some samples of a batch, as a batch. */
import type { NdArray, Observation, TypedArray } from "@insula/model-types";
import type { FlowDraws, TrainBatch } from "../train-session.js";

/** Samples in a batch. */
export const batchSizeOf = ({ actions }: TrainBatch): number => actions.shape[0]!;

/**
 * The samples `which` of a batch, with their draws.
 * @param which positions in the batch, in any order.
 */
export function takeSamples(
  batch: TrainBatch,
  draws: FlowDraws,
  which: readonly number[],
): { batch: TrainBatch; draws: FlowDraws } {
  const size = batchSizeOf(batch);
  const take = <T extends NdArray>(array: T): T => rows(array, size, which) as T;
  const each = <T extends NdArray>(arrays: Record<string, T>): Record<string, T> =>
    Object.fromEntries(Object.entries(arrays).map(([key, array]) => [key, take(array)]));
  const { images, imageMasks, ...arrays } = batch.observation;
  const observation = { images: each(images), imageMasks: each(imageMasks), ...each(arrays as never) };
  return {
    batch: {
      observation: observation as unknown as Observation,
      actions: take(batch.actions),
      ...(batch.actionMask ? { actionMask: take(batch.actionMask) } : {}),
    },
    draws: { noise: take(draws.noise), time: take(draws.time) },
  };
}

/** Axis 0 has a run of equal length per sample. */
function rows({ data, shape }: NdArray, size: number, which: readonly number[]): NdArray {
  const width = data.length / size;
  const out = new (data.constructor as new (length: number) => TypedArray)(width * which.length);
  for (const [to, from] of which.entries()) {
    out.set(data.subarray(from * width, (from + 1) * width) as never, to * width);
  }
  return { data: out, shape: [(shape[0]! / size) * which.length, ...shape.slice(1)] };
}
