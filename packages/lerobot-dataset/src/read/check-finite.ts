/** @file Finding NaN and infinity before they reach a loss. */
import { InsulaError, sizeOf } from "@insula/model-types";
import type { LeRobotDataset } from "./dataset.js";
import { episodeOf } from "./sample.js";

/**
 * Check that every number of the given features (default: all of dtype float) is finite.
 * @throws InsulaError `dataset/not-finite` naming feature, episode, frame and dim of the first that is not.
 */
export async function checkFinite(dataset: LeRobotDataset, names?: readonly string[]): Promise<void> {
  const all = Object.keys(dataset.features).filter((n) => dataset.features[n]!.dtype.startsWith("float"));
  for (const name of names ?? all) {
    const { data, shape } = await dataset.column(name);
    const dim = sizeOf(shape.slice(1));
    for (let i = 0; i < data.length; i++) {
      if (Number.isFinite(Number(data[i]))) continue;
      const frame = Math.floor(i / dim);
      const episode = episodeOf(dataset.episodes, frame);
      throw new InsulaError(
        "dataset/not-finite",
        `${name}: ${data[i]} in episode ${episode.index}, frame ${frame - episode.from}, dim ${i % dim}; repair or leave out the episode`,
      );
    }
  }
}
