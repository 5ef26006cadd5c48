/** @file The episode table of v2.x: meta/episodes.jsonl; one data file and one video per camera per episode. */
import { DATA_PATH_V2, expandTemplate, insideRoot, VIDEO_PATH_V2 } from "../paths.js";
import type { Episode, Report, VideoLocation } from "./episode.js";
import { episodeRow, mapRows } from "./episode-row.js";
import { type DatasetInfo, videoNames } from "./info.js";
import { type JsonLine, readJsonLines } from "./json-lines.js";
import type { DatasetRoot } from "./root.js";

const TABLE = "meta/episodes.jsonl";

/** Read meta/episodes.jsonl. */
export async function readEpisodesV2(
  root: DatasetRoot,
  info: DatasetInfo,
  report: Report,
): Promise<Episode[]> {
  const indexed = ({ fields }: JsonLine) => {
    const row = episodeRow(`${root.path}/${TABLE}`, fields);
    return { index: row.whole("episode_index"), row };
  };
  const rows = mapRows(await readJsonLines(root, TABLE), indexed, report);
  rows.sort((a, b) => a.index - b.index);
  const videos = videoNames(info.features);
  const valuesOf = (episode_index: number): Record<string, number> => ({
    episode_index,
    episode_chunk: Math.floor(episode_index / info.chunksSize),
  });
  const standard = await usesStandardFolders(root, info, valuesOf(rows.at(-1)?.index ?? 0));
  const dataPath = standard ? DATA_PATH_V2 : info.dataPath;
  const videoPath = standard ? VIDEO_PATH_V2 : info.videoPath!;
  const place = (template: string, values: Record<string, string | number>): string => {
    const path = expandTemplate(template, values);
    insideRoot(root.path, path);
    return path;
  };
  let from = 0;
  const episode = ({ index, row }: (typeof rows)[number]): Episode => {
    const values = valuesOf(index);
    const length = row.whole("length", 1);
    const locate = (video_key: string): [string, VideoLocation] => [
      video_key,
      { path: place(videoPath, { ...values, video_key }), fromTimestamp: 0 },
    ];
    const data = { path: place(dataPath, values), row: 0 };
    const rest = { tasks: row.tasks(), videos: Object.fromEntries(videos.map(locate)) };
    return { index, length, from, to: (from += length), data, ...rest };
  };
  return mapRows(rows, episode, report);
}

/**
 * Some published datasets say `chunk-{episode_index:03d}` while their files lie in LeRobot's
 * `chunk-{episode_chunk:03d}` folders. True when that is so: the last episode is not where the template says.
 */
async function usesStandardFolders(
  root: DatasetRoot,
  info: DatasetInfo,
  values: Record<string, number>,
): Promise<boolean> {
  if (!info.dataPath.includes("chunk-{episode_index")) return false;
  const there = (template: string): Promise<boolean> => root.has(expandTemplate(template, values));
  return !(await there(info.dataPath)) && (await there(DATA_PATH_V2));
}
