/**
 * @file Text buckets: one training session per text length, opened when a batch first needs it.
 */
import type { NdArray, Observation, TypedArray } from "@insula/model-types";
import { type Artifact, bucketModel } from "../artifact.js";
import { releaseAll } from "../device-tensors.js";
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

/** Tokens up to the last real one of the longest sample. */
function textLength({ tokenizedPromptMask: mask }: Observation): number {
  if (!mask) return 0;
  const width = mask.shape[1]!;
  let longest = 0;
  for (let i = 0; i < mask.data.length; i++) if (mask.data[i]) longest = Math.max(longest, (i % width) + 1);
  return longest;
}

function cutText(observation: Observation, length: number): Observation {
  const out = { ...observation };
  if (out.tokenizedPrompt) out.tokenizedPrompt = columns(out.tokenizedPrompt, length);
  if (out.tokenizedPromptMask) out.tokenizedPromptMask = columns(out.tokenizedPromptMask, length);
  if (out.tokenArMask) out.tokenArMask = columns(out.tokenArMask, length);
  if (out.tokenLossMask) out.tokenLossMask = columns(out.tokenLossMask, length);
  return out;
}

/** The first `length` columns of `[b, l]`. */
function columns<T extends TypedArray>({ data, shape }: NdArray<T>, length: number): NdArray<T> {
  const [b, width] = shape as [number, number];
  const out = data.slice(0, b * length) as T;
  for (let i = 0; i < b; i++) out.set(data.subarray(i * width, i * width + length) as never, i * length);
  return { data: out, shape: [b, length] };
}
