/** @file What v3.0's episode tables say twice: ranges of rows and of seconds, held against the lengths. */
import type { Episode } from "../read/episodes.js";
import { episodeFiles } from "../read/episodes-v3.js";
import { openParquet } from "../read/parquet.js";
import type { DatasetRoot } from "../read/root.js";
import type { Problem } from "./problem.js";

/** Check the columns that reading does not need; older tables lack some. */
export async function* checkEpisodeRanges(
  root: DatasetRoot,
  episodes: readonly Episode[],
  fps: number,
): AsyncGenerator<Problem> {
  const byIndex = new Map(episodes.map((episode) => [episode.index, episode]));
  for (const path of await episodeFiles(root)) {
    for (const row of await ranges(await root.file(path))) {
      const episode = byIndex.get(Number(row.get("episode_index")));
      if (!episode) continue; // It has been said what is wrong with it.
      const at = { code: "dataset/counts", file: path, episode: episode.index };
      for (const [name, expected] of [
        ["dataset_from_index", episode.from],
        ["dataset_to_index", episode.to],
      ] as const) {
        const found = row.get(name);
        if (found === undefined || Number(found) === expected) continue;
        yield {
          ...at,
          message: `${name}: expected ${expected} by the lengths before it, found ${String(found)}`,
        };
      }
      for (const [camera, { fromTimestamp }] of Object.entries(episode.videos)) {
        const name = `videos/${camera}/to_timestamp`;
        const found = row.get(name);
        const expected = fromTimestamp + episode.length / fps;
        if (found === undefined || Math.abs(Number(found) - expected) <= 0.5 / fps) continue;
        const message = `${name}: expected ${expected.toFixed(3)} by its length, found ${Number(found).toFixed(3)}`;
        yield { ...at, message };
      }
    }
  }
}

/** The rows of a table, with the columns of ranges that it has. */
async function ranges(path: string): Promise<Map<string, unknown>[]> {
  const file = await openParquet(path);
  try {
    const names = file.columns.filter((name) =>
      /^(episode_index|dataset_(from|to)_index|videos\/.*\/to_timestamp)$/.test(name),
    );
    const rows = Array.from({ length: file.rows }, () => new Map<string, unknown>());
    await file.read(names, 0, file.rows, (name, values, firstRow) => {
      for (let i = 0; i < values.length; i++) rows[firstRow + i]!.set(name, values[i]);
    });
    return rows;
  } finally {
    await file.close();
  }
}
