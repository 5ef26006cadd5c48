/**
 * @file Gradient accumulation, the host's part: a batch in micro-batches, and the losses of the whole from theirs.
 *
 * The FAST loss is a mean over samples, so every micro-batch weighs the same. The masked action loss is a mean over the
 * real entries of the whole batch, so a micro-batch weighs as many of them as it has: with equal weights a batch of
 * unequal padding would train on another loss than the same batch in one piece.
 */
import { InsulaError, type ModelConfig, type NdArray } from "@insula/model-types";
import type { FlowDraws, LossMetrics, TrainBatch } from "../train-session.js";
import { lossWeights } from "./losses.js";
import { batchSizeOf, takeSamples } from "./samples.js";

/** One micro-batch, and what it counts for. */
export interface MicroBatch {
  batch: TrainBatch;
  draws: FlowDraws;
  /** Its share of the batch in the mean of the action loss, and in that of the FAST loss. The shares of all are 1. */
  shares: { action_loss: number; fast_loss: number };
  /** FAST targets, which the accuracy is a share of. */
  targets: number;
}

/**
 * The micro-batches of a batch, in the order of its samples.
 * @param options how many there are, a divisor of the batch size, and whether the action loss counts real entries only
 * @throws InsulaError `model/batch` when the batch does not have `batchSize` samples
 */
export function microBatches(
  { batch, draws }: { batch: TrainBatch; draws: FlowDraws },
  {
    batchSize,
    gradientAccumulation: parts,
    maskPadded,
  }: { batchSize: number; gradientAccumulation: number; maskPadded: boolean },
): MicroBatch[] {
  if (batchSizeOf(batch) !== batchSize) {
    throw new InsulaError(
      "model/batch",
      `training: actions: expected [${batchSize}, *, *], found [${batch.actions.shape.join(", ")}]`,
    );
  }
  const real = Math.max(count(batch.actionMask), 1);
  const size = batchSize / parts;
  return Array.from({ length: parts }, (_, i) => {
    const which = Array.from({ length: size }, (_, j) => i * size + j);
    const part = takeSamples(batch, draws, which);
    const { actionMask, observation } = part.batch;
    const share = maskPadded && actionMask ? count(actionMask) / real : 1 / parts;
    return {
      ...part,
      shares: { action_loss: share, fast_loss: 1 / parts },
      // The first token of a text is nobody's target.
      targets: count(observation.tokenLossMask, 1),
    };
  });
}

/** The losses of the whole batch from those of its micro-batches. */
export function combineLosses(
  config: ModelConfig,
  parts: readonly { part: Pick<MicroBatch, "shares" | "targets">; losses: LossMetrics }[],
): LossMetrics {
  const [first] = parts;
  if (!first) throw new RangeError("combineLosses: no micro-batches");
  if (parts.length === 1) return first.losses;
  const combined: LossMetrics = { total: 0 };
  const weights = lossWeights(config);
  for (const key of ["action_loss", "fast_loss"] as const) {
    if (first.losses[key] === undefined) continue;
    combined[key] = parts.reduce((all, { part, losses }) => all + part.shares[key] * losses[key]!, 0);
    combined.total += weights[key] * combined[key];
  }
  if (first.losses.fast_accuracy !== undefined) {
    const targets = parts.reduce((all, { part }) => all + part.targets, 0);
    const right = parts.reduce((all, { part, losses }) => all + part.targets * losses.fast_accuracy!, 0);
    combined.fast_accuracy = right / Math.max(targets, 1);
  }
  return combined;
}

/** The sum of a mask, without the first `skip` entries of each row of its last axis. */
function count(mask: NdArray | undefined, skip = 0): number {
  const width = mask?.shape.at(-1) ?? 1;
  let total = 0;
  mask?.data.forEach((entry: number | bigint, i: number) => {
    if (i % width >= skip) total += Number(entry);
  });
  return total;
}
