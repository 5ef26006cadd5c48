/**
 * @file Text buckets: one training session per text length, opened when a batch first needs it.
 */
import { type Artifact, bucketModel } from "../artifact.js";
import { releaseAll } from "../device-tensors.js";
import { cutText, textLength } from "../text-length.js";
import type { TrainBatch } from "../train-session.js";
import type { BoundSession } from "./bound-session.js";

export interface Buckets {
  /** The session for a batch, and the batch cut to its text length. */
  pick(batch: TrainBatch): Promise<{ session: BoundSession; batch: TrainBatch }>;
  /** Those that are open. */
  opened(): readonly BoundSession[];
  release(): Promise<void>;
}

/** Sessions by text length; `open` makes the one of a model. */
export function createBuckets(
  { manifest }: Artifact,
  open: (model: string) => Promise<BoundSession>,
): Buckets {
  const { maxTokenLen } = manifest.config;
  const lengths = [...(manifest.options.tokenBuckets ?? [])].sort((a, b) => a - b);
  const buckets = new Map<number, BoundSession>();
  return {
    async pick(batch) {
      const needed = textLength(batch.observation);
      const length = lengths.find((l) => l >= needed) ?? maxTokenLen;
      let bucket = buckets.get(length);
      if (!bucket) {
        bucket = await open(length === maxTokenLen ? "training_model" : bucketModel(length));
        buckets.set(length, bucket);
      }
      return {
        session: bucket,
        batch: length === maxTokenLen ? batch : { ...batch, observation: cutText(batch.observation, length) },
      };
    },
    opened: () => [...buckets.values()],
    async release() {
      await releaseAll([...buckets.values()]);
      buckets.clear();
    },
  };
}
