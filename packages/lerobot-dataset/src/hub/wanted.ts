/** @file Which files of a dataset are needed, by its metadata. */
import type { Episode } from "../read/episodes.js";
import { readEpisodes } from "../read/episodes.js";
import { cameraNames, readInfo } from "../read/info.js";
import type { DatasetRoot } from "../read/root.js";
import { resolveKey } from "../read/sample.js";

/** What of a dataset is wanted. */
export interface Selection {
  /** Videos of these cameras only. Default: all; `[]`: none. */
  cameras?: readonly string[];
  /** Videos of these episodes (`episode_index`) only; the numbers come for all. Default: all. */
  episodes?: readonly number[];
}

/**
 * The data and video files that `selection` needs, data first. The metadata have to be there.
 * @throws InsulaError as opening the dataset does, `dataset/missing-key` for a camera that it lacks.
 */
export async function wantedFiles(root: DatasetRoot, selection: Selection): Promise<string[]> {
  const info = await readInfo(root);
  const cameras = cameraNames(info.features);
  const keys = (selection.cameras ?? cameras).map((name) => resolveKey(name, cameras, "camera"));
  const episodes: readonly Episode[] = await readEpisodes(root, info);
  const chosen = selection.episodes && new Set(selection.episodes);
  const data = new Set(episodes.map((episode) => episode.data.path));
  const videos = new Set<string>();
  for (const episode of episodes) {
    if (chosen && !chosen.has(episode.index)) continue;
    for (const key of keys) if (episode.videos[key]) videos.add(episode.videos[key].path);
  }
  return [...data, ...videos];
}
