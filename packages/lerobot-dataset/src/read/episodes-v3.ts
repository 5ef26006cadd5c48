/**
 * @file The episode tables of v3.0: meta/episodes/, parquet, with several episodes per data and video file. The
 * rows of a data file belong to its episodes in the order of `episode_index`.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { InsulaError } from "@insula/model-types";
import { expandTemplate, insideRoot } from "../paths.js";
import type { Episode, Report, VideoLocation } from "./episode.js";
import { type EpisodeRow, episodeRow, mapRows } from "./episode-row.js";
import { type DatasetInfo, videoNames } from "./info.js";
import type { DatasetRoot } from "./root.js";
import { readTable } from "./table.js";

/** Read meta/episodes/. */
export async function readEpisodesV3(
  root: DatasetRoot,
  info: DatasetInfo,
  report: Report,
): Promise<Episode[]> {
  const videos = videoNames(info.features);
  const columns = [
    "episode_index",
    "tasks",
    "length",
    "data/chunk_index",
    "data/file_index",
    ...videos.flatMap((v) => [
      `videos/${v}/chunk_index`,
      `videos/${v}/file_index`,
      `videos/${v}/from_timestamp`,
    ]),
  ];
  const rows: { index: number; row: EpisodeRow }[] = [];
  for (const relative of await episodeFiles(root)) {
    const path = await root.file(relative);
    const indexed = (fields: Record<string, unknown>) => {
      const row = episodeRow(path, fields);
      return { index: row.whole("episode_index"), row };
    };
    rows.push(...mapRows(await readTable(path, columns), indexed, report));
  }
  rows.sort((a, b) => a.index - b.index);

  const place = (template: string, values: Record<string, string | number>): string => {
    const path = expandTemplate(template, values);
    insideRoot(root.path, path);
    return path;
  };
  let from = 0;
  const rowsInFile = new Map<string, number>();
  const episode = ({ index, row }: (typeof rows)[number]): Episode => {
    const file = (prefix: string) => ({
      chunk_index: row.whole(`${prefix}/chunk_index`),
      file_index: row.whole(`${prefix}/file_index`),
    });
    const path = place(info.dataPath, file("data"));
    const length = row.whole("length", 1);
    const locate = (video_key: string): [string, VideoLocation] => [
      video_key,
      {
        path: place(info.videoPath!, { video_key, ...file(`videos/${video_key}`) }),
        fromTimestamp: row.seconds(`videos/${video_key}/from_timestamp`),
      },
    ];
    const rest = { tasks: row.tasks(), videos: Object.fromEntries(videos.map(locate)) };
    const dataRow = rowsInFile.get(path) ?? 0;
    rowsInFile.set(path, dataRow + length);
    return { index, length, from, to: (from += length), data: { path, row: dataRow }, ...rest };
  };
  return mapRows(rows, episode, report);
}

/** The parquet files below meta/episodes, relative to the dataset. */
export async function episodeFiles(root: DatasetRoot): Promise<string[]> {
  const folder = join(root.path, "meta", "episodes");
  const found = await readdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new InsulaError(
      "dataset/missing-file",
      `${folder}: not found; a v3.0 dataset keeps its episodes there`,
      { cause },
    );
  });
  return found
    .filter((name) => name.endsWith(".parquet"))
    .sort()
    .map((name) => join("meta", "episodes", name));
}
