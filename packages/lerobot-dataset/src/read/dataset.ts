/**
 * @file Opening a LeRobot dataset (v2.0, v2.1, v3.0). Opening reads metadata only; columns are loaded when they
 * are first asked for, frames are decoded one by one.
 */
import { access } from "node:fs/promises";
import { resolve } from "node:path";
import { InsulaError, type NdArray, type Sample } from "@insula/model-types";
import { DEFAULT_FEATURES, type Features, isCamera, isNumeric } from "../features.js";
import { insideRoot } from "../paths.js";
import { videoStore } from "../video/video-store.js";
import { type Column, columnStore } from "./columns.js";
import { type Episode, readEpisodes } from "./episodes.js";
import { imageStore } from "./images.js";
import { cameraNames, type DatasetInfo, readInfo } from "./info.js";
import { chunkOf, episodeOf, resolveKey, rowOf, type SampleOptions } from "./sample.js";
import { readTasks } from "./tasks.js";

/** Which cameras to decode, how well frames must match timestamps, and what decoding may hold in memory. */
export interface OpenOptions {
  /** Cameras that `sample` decodes. Default: all; `[]`: none. */
  cameras?: readonly string[];
  /** Bytes of decoded video frames to keep. Default: 256 MiB. */
  frameCacheBytes?: number;
  /** Bytes of encoded images to keep (datasets that store images in parquet). Default: 256 MiB. */
  imageCacheBytes?: number;
  /** Video files open at a time; each holds a decoder of a few frames. Default: 16. */
  openVideos?: number;
  /**
   * How far, in seconds, a video frame may be from `from_timestamp + timestamp`; the nearest is taken. Default:
   * 1e-4, as LeRobot. Half a frame interval or more accepts datasets whose timestamps are off by as much.
   */
  toleranceS?: number;
}

/** An open dataset. Frames are numbered through all episodes, `[0, totalFrames)`; `root` is an absolute path. */
export interface LeRobotDataset {
  readonly root: string;
  readonly info: DatasetInfo;
  readonly fps: number;
  readonly features: Features;
  /** Names of all camera features. */
  readonly cameras: readonly string[];
  /** `task_index` → instruction. */
  readonly tasks: ReadonlyMap<number, string>;
  readonly episodes: readonly Episode[];
  readonly totalFrames: number;
  /** One numeric feature over all frames: `[totalFrames, ...shape]`. Images and videos are not touched. */
  column(name: string): Promise<NdArray>;
  /**
   * One frame: every feature by name (numbers as arrays of the feature's shape, cameras as uint8
   * `[height, width, 3]`), action chunks `[horizon, ...shape]` with `<key>_is_pad` `[horizon]`, and `task`,
   * `task_index`, `episode_index`, `frame_index`, `timestamp` (seconds), `index`.
   * @throws InsulaError `dataset/index` outside `[0, totalFrames)`, `dataset/…` for unreadable data.
   */
  sample(index: number, options?: SampleOptions): Promise<Sample>;
  /** Files that the metadata names and that are not there, relative to the root. */
  missingFiles(options?: { cameras?: readonly string[]; episodes?: readonly number[] }): Promise<string[]>;
  /** Close the parquet and video files that sampling opened, and drop the cached images and frames. */
  close(): Promise<void>;
}

/**
 * Open the dataset in the folder `dir`.
 * @throws InsulaError `dataset/missing-info`, `dataset/version`, `dataset/info`, `dataset/counts`,
 * `dataset/path-escapes`, `dataset/missing-key` for a camera that is not there.
 */
export async function openLeRobotDataset(dir: string, options: OpenOptions = {}): Promise<LeRobotDataset> {
  const root = resolve(dir);
  const info = await readInfo(root);
  const [episodes, tasks] = await Promise.all([readEpisodes(root, info), readTasks(root, info)]);
  const { features } = info;
  const cameras = cameraNames(features);
  const pickCameras = (names: readonly string[]): string[] =>
    names.map((c) => resolveKey(c, cameras, "camera"));
  const openedCameras = pickCameras(options.cameras ?? cameras);

  const { frameCacheBytes = 2 ** 28, imageCacheBytes = 2 ** 28, openVideos = 16, toleranceS } = options;
  const columns = columnStore(root, features, episodes);
  const images = imageStore(imageCacheBytes);
  const videos = videoStore({
    cacheBytes: frameCacheBytes,
    openVideos,
    ...(toleranceS !== undefined && { toleranceS }),
  });
  const totalFrames = info.totalFrames;

  /** What `sample` reads besides cameras; the counters follow from the position of the frame. */
  const sampled = Object.keys(features).filter(
    (name) => !isCamera(features[name]!) && !["index", "frame_index", "episode_index"].includes(name),
  );
  for (const name of sampled) {
    const { dtype } = features[name]!;
    if (isNumeric(dtype) || dtype === "string") continue;
    throw new InsulaError("dataset/dtype", `${root}: feature '${name}' has the unknown dtype '${dtype}'`);
  }
  let rows: Promise<Map<string, Column>> | undefined;
  const loadRows = (): Promise<Map<string, Column>> => {
    rows ??= columns.load(sampled).then((loaded) => new Map(sampled.map((name, i) => [name, loaded[i]!])));
    rows.catch(() => (rows = undefined));
    return rows;
  };

  const camera = (name: string, episode: Episode, frame: number, timestamp: number): Promise<NdArray> => {
    if (features[name]!.dtype === "image") {
      const row = episode.data.row + frame - episode.from;
      return images.pixels(insideRoot(root, episode.data.path), name, row);
    }
    const { path, fromTimestamp } = episode.videos[name]!;
    return videos.pixels(insideRoot(root, path), fromTimestamp + timestamp);
  };

  return {
    root,
    info,
    fps: info.fps,
    features,
    cameras,
    tasks,
    episodes,
    totalFrames,
    async column(name) {
      const key = resolveKey(name, Object.keys(features));
      if (!isNumeric(features[key]!.dtype)) {
        throw new InsulaError(
          "dataset/dtype",
          `column '${key}': expected numbers, found ${features[key]!.dtype}`,
        );
      }
      const [column] = await columns.load([key]);
      return (column as Extract<Column, { kind: "numeric" }>).array;
    },
    async sample(index, { actionHorizon, actionKeys = ["actions"], cameras: wanted } = {}) {
      if (!(Number.isSafeInteger(index) && index >= 0 && index < totalFrames)) {
        throw new InsulaError("dataset/index", `${root}: frame ${index} is outside [0, ${totalFrames})`);
      }
      const names = wanted ? pickCameras(wanted) : openedCameras;
      const loaded = await loadRows();
      const episode = episodeOf(episodes, index);
      const number = (name: string, fallback: number): number => {
        const column = loaded.get(name);
        return column?.kind === "numeric" ? Number(column.array.data[index]) : fallback;
      };
      const timestamp = number("timestamp", (index - episode.from) / info.fps);
      const taskIndex = number("task_index", 0);
      const sample: Sample = {};
      const pixels = await Promise.all(names.map((name) => camera(name, episode, index, timestamp)));
      for (const [i, name] of names.entries()) sample[name] = pixels[i]!;
      for (const [name, column] of loaded) {
        if (name in DEFAULT_FEATURES) continue;
        sample[name] = column.kind === "numeric" ? rowOf(column.array, index) : column.values[index]!;
      }
      if (actionHorizon !== undefined) {
        for (const key of actionKeys) {
          const name = resolveKey(key, sampled);
          const column = loaded.get(name)!;
          if (column.kind !== "numeric") {
            throw new InsulaError("dataset/dtype", `${name}: only numbers can be chunked`);
          }
          const { chunk, isPad } = chunkOf(column.array, index, actionHorizon, episode);
          if (name !== key) delete sample[name];
          sample[key] = chunk;
          sample[`${key}_is_pad`] = isPad;
        }
      }
      const task = tasks.get(taskIndex);
      if (task === undefined) {
        throw new InsulaError(
          "dataset/missing-key",
          `${root}: frame ${index} has task_index ${taskIndex}, which is not in the task table`,
        );
      }
      return {
        ...sample,
        task,
        task_index: taskIndex,
        episode_index: episode.index,
        frame_index: index - episode.from,
        timestamp,
        index,
      };
    },
    async missingFiles({ cameras: of = openedCameras, episodes: only } = {}) {
      const keys = pickCameras(of);
      const named = new Set<string>();
      for (const episode of episodes) {
        if (only && !only.includes(episode.index)) continue;
        named.add(episode.data.path);
        for (const key of keys) if (episode.videos[key]) named.add(episode.videos[key].path);
      }
      const missing: string[] = [];
      for (const path of named) await access(insideRoot(root, path)).catch(() => missing.push(path));
      return missing;
    },
    async close() {
      await Promise.all([images.close(), videos.close()]);
    },
  };
}
