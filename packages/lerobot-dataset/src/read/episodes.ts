/**
 * @file The episodes of a dataset: how long each is, and in which files its rows and its frames lie.
 * v3.0 keeps them in meta/episodes/ (parquet, several episodes per data and video file), v2.x in
 * meta/episodes.jsonl (one data file and one video per camera per episode).
 */
import { access, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { InsulaError } from "@insula/model-types";
import { DATA_PATH_V2, expandTemplate, insideRoot, VIDEO_PATH_V2 } from "../paths.js";
import type { DatasetInfo } from "./info.js";
import { readTable } from "./table.js";

/** Where one camera's frames of an episode lie. */
export interface VideoLocation {
  /** Relative to the dataset. */
  readonly path: string;
  /** Seconds into the file at which the episode begins. */
  readonly fromTimestamp: number;
}

/** One episode: its frames `[from, to)` in the dataset, and the files that hold them. */
export interface Episode {
  /** `episode_index`. */
  readonly index: number;
  /** Number of frames. */
  readonly length: number;
  /** First frame of the episode in the dataset. */
  readonly from: number;
  /** One past its last frame. */
  readonly to: number;
  readonly tasks: readonly string[];
  /** Its parquet file, relative to the dataset, and its first row there. */
  readonly data: { readonly path: string; readonly row: number };
  /** By feature name; cameras of dtype `video` only. */
  readonly videos: Readonly<Record<string, VideoLocation>>;
}

/** Read the episode table, checking that it agrees with info.json. @throws InsulaError `dataset/…` */
export async function readEpisodes(root: string, info: DatasetInfo): Promise<Episode[]> {
  const episodes = info.codebaseVersion === "v3.0" ? await readV3(root, info) : await readV2(root, info);
  const frames = episodes.at(-1)?.to ?? 0;
  const disagree = (key: string, expected: number, found: number): void => {
    if (expected === found) return;
    throw new InsulaError(
      "dataset/counts",
      `${root}: meta/info.json says ${key} ${expected}, the episode table has ${found}; was the dataset copied whole?`,
    );
  };
  disagree("total_episodes", info.totalEpisodes, episodes.length);
  disagree("total_frames", info.totalFrames, frames);
  return episodes;
}

async function readV3(root: string, info: DatasetInfo): Promise<Episode[]> {
  const videos = Object.keys(info.features).filter((name) => info.features[name]!.dtype === "video");
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
  const rows: Record<string, unknown>[] = [];
  for (const path of await episodeFiles(root)) rows.push(...(await readTable(path, columns)));
  rows.sort((a, b) => Number(a["episode_index"]) - Number(b["episode_index"]));

  let from = 0;
  const rowsInFile = new Map<string, number>();
  return rows.map((row): Episode => {
    const file = (prefix: string) => ({
      chunk_index: Number(row[`${prefix}/chunk_index`]),
      file_index: Number(row[`${prefix}/file_index`]),
    });
    const path = expandTemplate(info.dataPath, file("data"));
    insideRoot(root, path);
    const length = checkLength(root, row["episode_index"], Number(row["length"]));
    const dataRow = rowsInFile.get(path) ?? 0;
    rowsInFile.set(path, dataRow + length);
    const locate = (video_key: string): [string, VideoLocation] => {
      const at = expandTemplate(info.videoPath!, { video_key, ...file(`videos/${video_key}`) });
      insideRoot(root, at);
      return [video_key, { path: at, fromTimestamp: Number(row[`videos/${video_key}/from_timestamp`]) }];
    };
    return {
      index: Number(row["episode_index"]),
      length,
      from,
      to: (from += length),
      tasks: (row["tasks"] as string[] | null) ?? [],
      data: { path, row: dataRow },
      videos: Object.fromEntries(videos.map(locate)),
    };
  });
}

function checkLength(root: string, episode: unknown, length: number): number {
  if (Number.isSafeInteger(length) && length > 0) return length;
  throw new InsulaError("dataset/counts", `${root}: episode ${episode}: expected a length, found ${length}`);
}

async function episodeFiles(root: string): Promise<string[]> {
  const folder = insideRoot(root, "meta/episodes");
  const found = await readdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new InsulaError(
      "dataset/missing-file",
      `${folder}: not found; a v3.0 dataset keeps its episodes there`,
      {
        cause,
      },
    );
  });
  return found
    .filter((name) => name.endsWith(".parquet"))
    .sort()
    .map((name) => join(folder, name));
}

async function readV2(root: string, info: DatasetInfo): Promise<Episode[]> {
  const lines = await readJsonLines<{ episode_index: number; length: number; tasks?: string[] }>(
    insideRoot(root, "meta/episodes.jsonl"),
  );
  lines.sort((a, b) => a.episode_index - b.episode_index);
  const videos = Object.keys(info.features).filter((name) => info.features[name]!.dtype === "video");
  const valuesOf = (episode_index: number): Record<string, number> => ({
    episode_index,
    episode_chunk: Math.floor(episode_index / info.chunksSize),
  });
  const standard = await usesStandardFolders(root, info, valuesOf(lines.at(-1)?.episode_index ?? 0));
  const dataPath = standard ? DATA_PATH_V2 : info.dataPath;
  const videoPath = standard ? VIDEO_PATH_V2 : info.videoPath!;
  const expand = (template: string, values: Record<string, string | number>): string => {
    const path = expandTemplate(template, values);
    insideRoot(root, path);
    return path;
  };
  let from = 0;
  return lines.map(({ episode_index, length, tasks = [] }): Episode => {
    const values = valuesOf(episode_index);
    const locate = (video_key: string): [string, VideoLocation] => [
      video_key,
      { path: expand(videoPath, { ...values, video_key }), fromTimestamp: 0 },
    ];
    return {
      index: episode_index,
      length: checkLength(root, episode_index, length),
      from,
      to: (from += length),
      tasks,
      data: { path: expand(dataPath, values), row: 0 },
      videos: Object.fromEntries(videos.map(locate)),
    };
  });
}

/**
 * Some published datasets say `chunk-{episode_index:03d}` while their files lie in LeRobot's
 * `chunk-{episode_chunk:03d}` folders. True when that is so: the last episode is not where the template says.
 */
async function usesStandardFolders(
  root: string,
  info: DatasetInfo,
  values: Record<string, number>,
): Promise<boolean> {
  if (!info.dataPath.includes("chunk-{episode_index")) return false;
  const there = (template: string): Promise<boolean> =>
    access(insideRoot(root, expandTemplate(template, values))).then(
      () => true,
      () => false,
    );
  return !(await there(info.dataPath)) && (await there(DATA_PATH_V2));
}

/** The objects of a JSON-lines file. @throws InsulaError `dataset/missing-file`, `dataset/json` */
export async function readJsonLines<T>(path: string): Promise<T[]> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new InsulaError("dataset/missing-file", `${path}: not found`, { cause });
  });
  return text.split("\n").flatMap((line, i) => {
    if (line.trim() === "") return [];
    try {
      return [JSON.parse(line) as T];
    } catch (cause) {
      throw new InsulaError("dataset/json", `${path}:${i + 1}: is not JSON`, { cause });
    }
  });
}
