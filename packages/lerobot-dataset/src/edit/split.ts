/** @file Some episodes of a dataset as a dataset of their own; a dataset in several parts. */
import { join } from "node:path";
import { InsulaError } from "@insula/model-types";
import type { Episode } from "../read/episodes.js";
import { copyEpisodes, type EditOptions, type EditResult } from "./copy-episodes.js";
import { inNewFolder } from "./new-folder.js";
import type { EpisodesOf, Parts } from "./parts.js";
import { openSource, type Source } from "./source.js";
import { targetFeatures } from "./target-features.js";

/**
 * Write the given episodes (`episode_index`, in the given order) as v3.0 into the new folder `out`. The task table is
 * kept whole, so that task indices stay. An episode's frames are cut out of a video that holds others, too.
 * @throws InsulaError `dataset/episodes` for an episode that is not there or named twice, `dataset/exists`, …
 */
export async function extractEpisodes(
  source: string,
  out: string,
  episodes: EpisodesOf,
  options: EditOptions = {},
): Promise<EditResult> {
  const opened = await openSource(source, options);
  try {
    const all = opened.dataset;
    const chosen = typeof episodes === "function" ? episodes(all) : episodes;
    const picked = pick(opened, chosen);
    const features = targetFeatures(all.features, options);
    return await inNewFolder(out, (dir) =>
      copyEpisodes(dir, [{ source: opened, episodes: picked }], features, options),
    );
  } finally {
    await opened.dataset.close();
  }
}

/**
 * Write each part into a folder of its name in the new folder `out`.
 * @param parts episodes by name, or how to choose them: {@link byFraction}, {@link byTask}.
 * @throws InsulaError as {@link extractEpisodes}; `dataset/parts` for an episode in two parts, an empty part or a
 * name that is no folder's.
 */
export async function splitLeRobotDataset(
  source: string,
  out: string,
  parts: Parts,
  options: EditOptions = {},
): Promise<Record<string, EditResult>> {
  const opened = await openSource(source, options);
  try {
    const chosen = Object.entries(typeof parts === "function" ? parts(opened.dataset) : parts);
    checkParts(chosen);
    const picked = chosen.map(([name, episodes]) => [name, pick(opened, episodes)] as const);
    const features = targetFeatures(opened.dataset.features, options);
    const total = picked.reduce((sum, [, { length }]) => sum + length, 0);
    let before = 0;
    return await inNewFolder(out, async (dir) => {
      const results: Record<string, EditResult> = {};
      for (const [name, episodes] of picked) {
        const begun = before;
        results[name] = await inNewFolder(join(dir, name), (part) =>
          copyEpisodes(part, [{ source: opened, episodes }], features, {
            ...options,
            onProgress: (done) => options.onProgress?.(begun + done, total),
          }),
        );
        before += episodes.length;
      }
      return results;
    });
  } finally {
    await opened.dataset.close();
  }
}

function pick({ dataset }: Source, indices: readonly number[]): Episode[] {
  const byIndex = new Map(dataset.episodes.map((e) => [e.index, e]));
  const seen = new Set<number>();
  if (indices.length === 0)
    throw new InsulaError("dataset/episodes", `${dataset.root}: no episode is chosen`);
  return indices.map((index) => {
    const episode = byIndex.get(index);
    if (!episode) {
      const [first, last] = [dataset.episodes[0]?.index, dataset.episodes.at(-1)?.index];
      throw new InsulaError(
        "dataset/episodes",
        `${dataset.root}: there is no episode ${index}; its episodes are ${first} to ${last}`,
      );
    }
    if (seen.has(index)) {
      throw new InsulaError("dataset/episodes", `${dataset.root}: episode ${index} is chosen twice`);
    }
    seen.add(index);
    return episode;
  });
}

function checkParts(parts: readonly (readonly [string, readonly number[]])[]): void {
  const owner = new Map<number, string>();
  if (parts.length === 0) throw new InsulaError("dataset/parts", "a split needs at least one part");
  for (const [name, episodes] of parts) {
    if (!/^\w[\w.-]*$/.test(name)) {
      throw new InsulaError("dataset/parts", `part '${name}': expected letters, digits, '-', '_' and '.'`);
    }
    if (episodes.length === 0) throw new InsulaError("dataset/parts", `part '${name}' has no episode`);
    for (const index of episodes) {
      const other = owner.get(index);
      if (other !== undefined && other !== name) {
        throw new InsulaError("dataset/parts", `episode ${index} is in two parts, '${other}' and '${name}'`);
      }
      owner.set(index, name);
    }
  }
}
