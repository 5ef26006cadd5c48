/** @file The frames of chosen episodes as one range. */
import { InsulaError } from "@insula/model-types";
import type { FrameSource } from "../frame-source.js";
import type { Episode } from "../read/episodes.js";

/** Numbers `[0, length)` for some of a source's frames. */
export interface ChosenFrames {
  length: number;
  /** The source's own number of the `i`-th chosen frame. */
  at(i: number): number;
}

/**
 * The frames of `episodes` (`episode_index`), in the order given, each episode once.
 * @throws InsulaError `loader/episodes` for one that is not there, and for sources that have no episodes.
 */
export function chooseEpisodes(source: FrameSource, episodes: readonly number[]): ChosenFrames {
  const table = (source as { episodes?: readonly Episode[] }).episodes;
  if (!table || source.order) {
    throw new InsulaError("loader/episodes", "episodes: only those of a dataset can be chosen here");
  }
  const byIndex = new Map(table.map((e) => [e.index, e]));
  const chosen = [...new Set(episodes)].map((index) => {
    const episode = byIndex.get(index);
    if (episode) return episode;
    throw new InsulaError(
      "loader/episodes",
      `episodes: ${index} is not one of the ${table.length} episodes of the dataset`,
    );
  });
  const frames = new Uint32Array(chosen.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const { from, to } of chosen) for (let frame = from; frame < to; frame++) frames[at++] = frame;
  return { length: frames.length, at: (i) => frames[i]! };
}
