/**
 * @file The episodes of a dataset: how long each is, and in which files its rows and its frames lie.
 */
import { InsulaError } from "@insula/model-types";
import type { Episode, Report } from "./episode.js";
import { readEpisodesV2 } from "./episodes-v2.js";
import { readEpisodesV3 } from "./episodes-v3.js";
import type { DatasetInfo } from "./info.js";
import type { DatasetRoot } from "./root.js";

export type { Episode, Report, VideoLocation } from "./episode.js";

/**
 * Read the episode table, in the order of `episode_index`, checking that it agrees with info.json.
 * @param report told of every problem instead of the first being thrown.
 * @throws InsulaError `dataset/episodes` naming episode and field, `dataset/counts`, `dataset/path-escapes`.
 */
export async function readEpisodes(
  root: DatasetRoot,
  info: DatasetInfo,
  report: Report = (problem) => {
    throw problem;
  },
): Promise<Episode[]> {
  const read = info.codebaseVersion === "v3.0" ? readEpisodesV3 : readEpisodesV2;
  const all = await read(root, info, report);
  const episodes = all.filter(({ index }, i) => {
    if (i === 0 || index !== all[i - 1]!.index) return true;
    report(
      new InsulaError("dataset/episodes", `${root.path}: episode ${index} is in the episode table twice`),
    );
    return false;
  });
  // A writer killed between two renames has listed an episode more than info.json, its last file, counts.
  const last = episodes[info.totalEpisodes - 1];
  if (info.codebaseVersion === "v3.0" && last?.to === info.totalFrames) episodes.length = info.totalEpisodes;
  const disagree = (key: string, expected: number, found: number): void => {
    if (expected === found) return;
    report(
      new InsulaError(
        "dataset/counts",
        `${root.path}: meta/info.json says ${key} ${expected}, the episode table has ${found}; was the dataset copied whole?`,
      ),
    );
  };
  disagree("total_episodes", info.totalEpisodes, episodes.length);
  disagree("total_frames", info.totalFrames, episodes.at(-1)?.to ?? 0);
  return episodes;
}
