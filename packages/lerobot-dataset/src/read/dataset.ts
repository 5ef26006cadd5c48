/**
 * @file Opening a LeRobot dataset (v2.0, v2.1, v3.0). Opening reads metadata only; columns are loaded when they
 * are first asked for, frames are decoded one by one.
 */
import { InsulaError, type NdArray, type Sample } from "@insula/model-types";
import { DEFAULT_FEATURES, type Features, isCamera, isNumeric } from "../features.js";
import type { FrameLocation, FrameSource } from "../frame-source.js";
import type { DownloadOptions } from "../hub/download-dataset.js";
import { resolveDataset } from "../hub/resolve.js";
import { videoStore } from "../video/video-store.js";
import type { Column, SharedColumns } from "./column.js";
import { columnStore } from "./columns.js";
import { type Episode, readEpisodes } from "./episodes.js";
import { imageStore } from "./images.js";
import { cameraNames, type DatasetInfo, readInfo } from "./info.js";
import { markOpened } from "./opened.js";
import { datasetRoot } from "./root.js";
import { chunkOf, episodeOf, resolveKey, rowOf, type SampleOptions } from "./sample.js";
import { readTasks } from "./tasks.js";

/** Which cameras to decode, how well frames must match timestamps, and what decoding may hold in memory. */
export interface OpenOptions {
  /** Cameras that `sample` decodes. Default: all; `[]`: none. */
  cameras?: readonly string[];
  /** Where a dataset that is named and is no folder comes from; see `downloadLeRobotDataset`. */
  hub?: DownloadOptions;
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
  /**
   * Decode video on the calling thread, for the least CPU time; otherwise libuv's threads decode and the caller's
   * event loop stays free. Default: true in worker threads, false elsewhere.
   */
  syncDecode?: boolean;
  /** Columns of this dataset from `shareColumns` in another thread: they are not read again. */
  columns?: SharedColumns;
  /**
   * Follow symbolic links that lead out of the dataset's folder. Default: false; links within it are followed, and
   * those of the Hugging Face cache to its `blobs`.
   */
  followLinks?: boolean;
}

/** An open dataset. Frames are numbered through all episodes, `[0, totalFrames)`; `root` is an absolute path. */
export interface LeRobotDataset extends FrameSource {
  readonly root: string;
  /** What it was opened with, so that a worker can open it again. */
  readonly options: OpenOptions;
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
  locate(index: number): FrameLocation;
  /** Everything that samples need besides cameras, loaded, in memory that threads share: `OpenOptions.columns`. */
  shareColumns(): Promise<SharedColumns>;
  /** Files that the metadata names and that are not there, relative to the root. */
  missingFiles(options?: { cameras?: readonly string[]; episodes?: readonly number[] }): Promise<string[]>;
  /** Close the parquet and video files that sampling opened, and drop the cached images and frames. */
  close(): Promise<void>;
}

/**
 * Open the dataset in the folder `source`, or, where there is no such folder, the one that `owner/name` means on the
 * Hugging Face hub (LeRobot's own copy or the hub's cache, where they hold it).
 * @throws InsulaError `hub/…` when it cannot be had, `dataset/missing-info`, `dataset/version`, `dataset/info`, `dataset/counts`,
 * `dataset/path-escapes`, `dataset/missing-key` for a camera that is not there.
 */
export async function openLeRobotDataset(source: string, options: OpenOptions = {}): Promise<LeRobotDataset> {
  const selection = options.cameras === undefined ? {} : { cameras: options.cameras };
  const dir = await resolveDataset(source, { ...selection, ...options.hub });
  const folder = await datasetRoot(dir, { followLinks: options.followLinks ?? false });
  const root = folder.path;
  const info = await readInfo(folder);
  const episodes = await readEpisodes(folder, info);
  const tasks = await readTasks(folder, info);
  const { features } = info;
  const cameras = cameraNames(features);
  const pickCameras = (names: readonly string[]): string[] =>
    names.map((c) => resolveKey(c, cameras, "camera"));
  const openedCameras = pickCameras(options.cameras ?? cameras);

  const { frameCacheBytes = 2 ** 28, imageCacheBytes = 2 ** 28, openVideos = 16 } = options;
  const { toleranceS, syncDecode: sync } = options;
  const columns = columnStore(folder, features, episodes, options.columns);
  const images = imageStore(imageCacheBytes);
  const videos = videoStore({
    cacheBytes: frameCacheBytes,
    openVideos,
    ...(toleranceS !== undefined && { toleranceS }),
    ...(sync !== undefined && { sync }),
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

  const camera = async (
    name: string,
    episode: Episode,
    frame: number,
    timestamp: number,
  ): Promise<NdArray> => {
    if (features[name]!.dtype === "image") {
      const row = episode.data.row + frame - episode.from;
      return images.pixels(await folder.file(episode.data.path), name, row);
    }
    const { path, fromTimestamp } = episode.videos[name]!;
    return videos.pixels(await folder.file(path), fromTimestamp + timestamp);
  };

  const dataset: LeRobotDataset = {
    root,
    options,
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
    locate(index) {
      const { index: number, from } = episodeOf(episodes, index);
      return { dataset: root, episode: number, frame: index - from };
    },
    async shareColumns() {
      const shared = await columns.share(sampled);
      rows = undefined; // It holds what was there before.
      return shared;
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
      for (const path of named) if (!(await folder.has(path))) missing.push(path);
      return missing;
    },
    async close() {
      await Promise.all([images.close(), videos.close()]);
    },
  };
  markOpened(dataset);
  return dataset;
}
