/** @file How many FAST targets a sample has at most: the rows that a training graph needs for its logits. */
import { InsulaError } from "@insula/model-types";
import { tokenizedFrames } from "./frames.js";
import type { TokenSource } from "./source.js";

/** Targets of the FAST loss in a row of its mask: a token is predicted from the one before, so the first never. */
export function fastTargets(lossMask: Uint8Array): number {
  let count = 0;
  for (let i = 1; i < lossMask.length; i++) count += lossMask[i]!;
  return count;
}

/**
 * The largest number of FAST targets of any sample: a bound for the training graph's `lossRows` that no sample
 * exceeds, as every start of a chunk is looked at and no image is read. 0 for model types without a FAST loss.
 * @throws InsulaError of the tokenizer for the first sample that cannot be encoded, naming episode and frame.
 */
export async function maxFastTargets(source: TokenSource): Promise<number> {
  let most = 0;
  if (!source.tokenizers.actions) return most;
  for await (const { tokens, episode, frame } of tokenizedFrames(source)) {
    if (tokens instanceof InsulaError) {
      throw new InsulaError(tokens.code, `episode ${episode}, frame ${frame}: ${tokens.message}`, {
        cause: tokens,
      });
    }
    if ("lossMask" in tokens) most = Math.max(most, fastTargets(tokens.lossMask));
  }
  return most;
}
