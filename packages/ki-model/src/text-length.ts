/**
 * @file How much of the padded text is text: graphs for shorter texts compute the same with less.
 */
import {
  InsulaError,
  type ModelConfig,
  type NdArray,
  type Observation,
  type TypedArray,
} from "@insula/model-types";

/** Tokens up to the last real one of the longest sample. */
export function textLength({ tokenizedPromptMask: mask }: Observation): number {
  if (!mask) return 0;
  const width = mask.shape[1]!;
  let longest = 0;
  for (let i = 0; i < mask.data.length; i++) if (mask.data[i]) longest = Math.max(longest, (i % width) + 1);
  return longest;
}

/** The observation with its text cut to `length` tokens. */
export function cutText(observation: Observation, length: number): Observation {
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

/** @throws InsulaError `model/token-buckets` unless every length is from 2 to `maxTokenLen - 1`. */
export function checkBuckets(
  { maxTokenLen }: ModelConfig,
  buckets: readonly number[] = [],
): readonly number[] {
  for (const length of buckets) {
    if (Number.isInteger(length) && length >= 2 && length < maxTokenLen) continue;
    throw new InsulaError(
      "model/token-buckets",
      `tokenBuckets: expected lengths from 2 to ${maxTokenLen - 1}, found ${length}`,
    );
  }
  return buckets;
}
