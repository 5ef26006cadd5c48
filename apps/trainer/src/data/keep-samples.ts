/**
 * @file Model samples kept from epoch to epoch, where all of a run's have room: reading, decoding and resizing take
 * longer than the step of a small model. Samples before augmentation follow from their frame alone, so this changes no
 * number.
 */
import type { FrameSource } from "@insula/lerobot-dataset";
import { isNdArray, type Sample } from "@insula/model-types";

/** `source`, with its samples kept (and handed out again: not to be changed) if `totalFrames` of the first one's size have at most `limit` bytes. */
export function keepSamples(source: FrameSource, limit: number): FrameSource {
  const kept: Sample[] = [];
  let room: boolean | undefined;
  return {
    ...source,
    async sample(index, options) {
      const known = kept[index];
      if (known) return known;
      const sample = await source.sample(index, options);
      room ??= bytesOf(sample) * source.totalFrames <= limit;
      if (room) kept[index] = sample;
      return sample;
    },
  };
}

/** Bytes of all arrays of a sample; what is no array counts as nothing. */
function bytesOf(sample: Sample): number {
  let sum = 0;
  for (const value of Object.values(sample)) {
    if (isNdArray(value)) sum += value.data.byteLength;
    else if (typeof value === "object" && value !== null) sum += bytesOf(value as Sample);
  }
  return sum;
}
