/**
 * @file How long a run's texts are, looked up before it starts: a run whose texts are short never opens the graphs of
 * the long ones, so a plan for the whole buffer would be a third too high.
 */
import { InsulaError } from "@insula/model-types";
import type { TrainData } from "../data/train-data.js";
import { tokenizedFrames } from "../inspect/frames.js";

/** Frames that are tokenised to find out; without their images that takes a fraction of a second. */
const MOST_SAMPLES = 1024;

export interface LongestText {
  /** Tokens of the longest text, as the model gets it. */
  length: number;
  /** Frames that were looked at. */
  samples: number;
}

/**
 * The longest text of as many training frames as the run will draw, 1024 at most, spread evenly: of each member of a
 * mixture. What cannot be tokenised counts as a full buffer.
 */
export async function longestText({
  config,
  members,
  stats,
  tokenizers,
}: Pick<TrainData, "config" | "members" | "stats" | "tokenizers">): Promise<LongestText> {
  const { maxTokenLen } = config.model;
  const drawn = config.numTrainSteps * config.batchSize;
  const limit = Math.ceil(Math.min(drawn, MOST_SAMPLES) / members.length);
  const found: LongestText = { length: 0, samples: 0 };
  for (const { dataset, spec, split } of members) {
    const source = { config, dataset, spec, stats, tokenizers, episodes: split.train };
    for await (const { tokens } of tokenizedFrames(source, limit)) {
      const length = tokens instanceof InsulaError ? maxTokenLen : Math.min(tokens.length, maxTokenLen);
      found.length = Math.max(found.length, length);
      found.samples += 1;
    }
  }
  return found;
}
