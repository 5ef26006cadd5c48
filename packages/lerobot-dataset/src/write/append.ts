/**
 * @file Write on in an existing v3.0 dataset, this writer's or LeRobot's, after removing what a killed writer left
 * behind its last complete episode.
 */
import { InsulaError, sizeOf } from "@insula/model-types";
import { DEFAULT_FEATURES, type Features } from "../features.js";
import { DATA_PATH_V3, VIDEO_PATH_V3 } from "../paths.js";
import { type DatasetInfo, readInfo } from "../read/info.js";
import { type DatasetRoot, datasetRoot } from "../read/root.js";
import { readTasks } from "../read/tasks.js";
import { type Beginning, WRITTEN_VERSION } from "./begin.js";
import type { VideoEncoding } from "./encode-video.js";
import { checkFeature } from "./episode-input.js";
import { readEpisodeTables } from "./episode-tables.js";
import { removeUncounted } from "./remove-uncounted.js";
import { aggregateStats, type FeatureStats, parseStats } from "./stats.js";
import type { TableRow } from "./table-file.js";
import { statShapes } from "./tables.js";
import { type LeRobotWriter, ownFeatures, startWriter, type WriteOptions } from "./writer.js";

/**
 * Append episodes to the dataset at `dir`: `addEpisode` numbers on from its last one. Data, videos and episode tables
 * that are there stay as they are; new ones come beside them.
 * @throws InsulaError `dataset/locked` while another writer has it, `dataset/version` unless it is v3.0, and what
 * opening it throws.
 */
export async function appendToLeRobotDataset(
  dir: string,
  options: WriteOptions = {},
): Promise<LeRobotWriter> {
  const root = await datasetRoot(dir);
  const info = checkAppendable(root, await readInfo(root));
  return startWriter(
    async () => existing(root, checkAppendable(root, await readInfo(root))),
    { root: root.path, destination: root.path },
    { ...options, video: { ...codecOf(info.features), ...options.video } },
  );
}

function checkAppendable(root: DatasetRoot, info: DatasetInfo): DatasetInfo {
  if (info.codebaseVersion !== WRITTEN_VERSION) {
    throw new InsulaError(
      "dataset/version",
      `${root.path}: cannot append to ${info.codebaseVersion}; convert it to ${WRITTEN_VERSION} first`,
    );
  }
  // Only in LeRobot's own layout is a file's number in its name.
  for (const [key, found, expected] of [
    ["data_path", info.dataPath, DATA_PATH_V3],
    ["video_path", info.videoPath ?? VIDEO_PATH_V3, VIDEO_PATH_V3],
  ]) {
    if (found === expected) continue;
    throw new InsulaError(
      "dataset/path",
      `${root.path}/meta/info.json: ${key}: expected ${expected}, found ${found}; convert the dataset first`,
    );
  }
  for (const name of Object.keys(DEFAULT_FEATURES)) {
    if (info.features[name]) continue;
    throw new InsulaError(
      "dataset/missing-key",
      `${root.path}/meta/info.json: features has no '${name}'; convert the dataset first`,
    );
  }
  for (const [name, feature] of Object.entries(ownFeatures(info.features))) checkFeature(name, feature);
  return info;
}

/** What the dataset holds, once what info.json does not count is removed. */
async function existing(root: DatasetRoot, info: DatasetInfo): Promise<Beginning> {
  const found = await readEpisodeTables(root);
  const { rows, next } = await removeUncounted(root, info, found);
  const tasks = [...(await readTasks(root, info))].map(([index, text]) => [text, index] as const);
  const { features, raw } = info;
  const megabytes = Number(raw["data_files_size_in_mb"] ?? 100);
  return {
    features,
    fps: info.fps,
    info: raw,
    dataPath: info.dataPath,
    videoPath: info.videoPath ?? VIDEO_PATH_V3,
    chunksSize: info.chunksSize,
    maxDataBytes: (megabytes > 0 ? megabytes : 100) * 2 ** 20,
    episodes: info.totalEpisodes,
    frames: info.totalFrames,
    tasks: new Map(tasks),
    ...totals(rows, features),
    next,
    columns: found.columns,
  };
}

/** The statistics of all episodes together, of the features that have the same ones in every row. */
function totals(rows: readonly TableRow[], features: Features): Pick<Beginning, "stats" | "statShapes"> {
  const stats: Record<string, FeatureStats> = {};
  const shapes: Record<string, readonly number[]> = {};
  for (const [name, expected] of Object.entries(statShapes(features))) {
    const parts = rows.flatMap((row) => parseStats((stat) => row[`stats/${name}/${stat}`]) ?? []);
    const shape = shapeOf(rows[0]?.[`stats/${name}/mean`]);
    const size = sizeOf(shape);
    if (parts.length < rows.length || parts.some(({ mean }) => mean.length !== size)) continue;
    if (size === 0 || sizeOf(expected) % size !== 0) continue;
    stats[name] = aggregateStats(parts);
    shapes[name] = shape;
  }
  return { stats, statShapes: shapes };
}

/** The lengths of nested lists. */
function shapeOf(value: unknown): number[] {
  if (typeof value !== "object" || value === null) return [];
  const list = value as ArrayLike<unknown>;
  return [list.length, ...(list.length > 0 ? shapeOf(list[0]) : [])];
}

/** The codec of the videos that are there, if it is one that can be written. */
function codecOf(features: Features): VideoEncoding {
  const names = Object.values(features).map(({ info }) => info?.["video.codec"]);
  const codec = names.find((name) => name === "av1" || name === "h264");
  return codec ? { codec: codec as "av1" | "h264" } : {};
}
