/** @file Which episodes are for training and which are held out. */
import { InsulaError } from "@insula/model-types";

/** Episodes of the default data set. */
export const DEFAULT_EPISODES = 64;
/** Held-out episodes of the default data set. */
export const VALIDATION_EPISODES = 8;

/** Episode indices. */
export interface SampleDataSplits {
  readonly train: readonly number[];
  readonly validation: readonly number[];
}

/**
 * The last 8 of `episodes` are for validation; of fewer than 32, the last quarter. The cut
 * never parts the two episodes of a scene, so validation scenes are new to the model.
 * @throws InsulaError `sample-data/episodes` for a number that is not a positive integer.
 */
export function sampleDataSplits(episodes: number = DEFAULT_EPISODES): SampleDataSplits {
  checkEpisodes(episodes);
  const held = Math.min(VALIDATION_EPISODES, 2 * Math.floor(episodes / 8));
  const cut = held === 0 ? episodes : 2 * Math.floor((episodes - held) / 2);
  const all = Array.from({ length: episodes }, (_, i) => i);
  return { train: all.slice(0, cut), validation: all.slice(cut) };
}

/** @throws InsulaError `sample-data/episodes`. */
export function checkEpisodes(episodes: number): void {
  if (!(Number.isInteger(episodes) && episodes > 0 && episodes <= 100_000)) {
    throw new InsulaError(
      "sample-data/episodes",
      `episodes: expected an integer from 1 to 100000, found ${episodes}`,
    );
  }
}
