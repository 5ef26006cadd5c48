/** @file videos/<camera>/chunk-XXX/file-XXX.mp4: one file per episode, or files copied as they were. */
import { constants, copyFile } from "node:fs/promises";
import { resolve } from "node:path";
import { InsulaError } from "@insula/model-types";
import { type Features, imageSize } from "../features.js";
import { expandTemplate } from "../paths.js";
import { cutVideo } from "./cut-video.js";
import { type FileLocation, locationOf } from "./data-files.js";
import type { VideoEncoding } from "./encode-video.js";
import { type CameraOfEpisode, encodeEpisode, videoStats } from "./episode-images.js";
import type { EpisodeInput, VideoCopy } from "./episode-input.js";
import type { Staging } from "./staging.js";
import type { FeatureStats } from "./stats.js";
import type { VideoSegment } from "./tables.js";
import { videoInfo } from "./video-info.js";

/** One camera's part of an episode, and what LeRobot notes of its file. */
export interface WrittenVideo {
  segment: VideoSegment;
  stats: FeatureStats;
  info: Record<string, unknown>;
}

export interface VideoFiles {
  /** Put the camera `name` of an episode into a file; several cameras at a time. */
  add(
    name: string,
    episode: EpisodeInput,
    timestamps: ArrayLike<number>,
    where: string,
  ): Promise<WrittenVideo>;
  /** Forget the files prepared since the last call of `keep`: their episode was refused. */
  undo(): Promise<void>;
  keep(): void;
}

/** One codec and pixel format per camera: meta/info.json has room for one. */
export const FORMAT_KEYS = ["video.codec", "video.pix_fmt"] as const;

/** A file of the episode being written. */
interface FreshFile {
  name: string;
  path: string;
  at: FileLocation;
  /** The key of its source, when it was copied whole. */
  copied?: string;
}

/** Write videos into `staging`; `next` holds each camera's number of files so far. */
export function videoFiles(
  staging: Staging,
  features: Features,
  options: {
    template: string;
    chunksSize: number;
    next: Map<string, number>;
    fps: number;
    encoding: VideoEncoding;
    toleranceS?: number | undefined;
  },
): VideoFiles {
  const { template, chunksSize, next, fps, encoding, toleranceS } = options;
  /** Source path and camera → where the whole file was copied to. */
  const copies = new Map<string, FileLocation>();
  const fresh = new Set<FreshFile>();
  /** What all videos of a camera have in common. */
  const formats = new Map(Object.entries(features).map(([name, { info }]) => [name, info]));

  /** @throws InsulaError `dataset/video` when the video is of another format than those before. */
  const checkFormat = (name: string, info: Record<string, unknown>, where: string): void => {
    const known = formats.get(name);
    for (const key of FORMAT_KEYS) {
      if (known?.[key] === undefined || known[key] === info[key]) continue;
      throw new InsulaError(
        "dataset/video",
        `${name}: expected ${key} ${known[key]} as in the dataset's other videos, found ${info[key]} in ${where}; encode it again`,
      );
    }
    if (!known) formats.set(name, info);
  };

  const prepare = async (name: string, copied?: string): Promise<FreshFile & { to: string }> => {
    const count = next.get(name) ?? 0;
    const at = locationOf(count, chunksSize);
    const place = { video_key: name, chunk_index: at.chunk, file_index: at.file };
    const path = expandTemplate(template, place);
    next.set(name, count + 1);
    const file = { name, path, at, to: await staging.prepare(path), ...(copied !== undefined && { copied }) };
    fresh.add(file);
    return file;
  };

  const copyWhole = async (name: string, from: string): Promise<FileLocation> => {
    const key = `${name}\0${resolve(from)}`;
    const held = copies.get(key);
    if (held) return held;
    const { to, at } = await prepare(name, key);
    await copyFile(from, to, constants.COPYFILE_FICLONE);
    copies.set(key, at);
    return at;
  };

  const copy = async (
    source: VideoCopy,
    camera: CameraOfEpisode,
    timestamps: ArrayLike<number>,
  ): Promise<WrittenVideo> => {
    const { name, frames } = camera;
    const { path, fromTimestamp = 0, whole = false } = source;
    const info = await videoInfo(path);
    checkFormat(name, info, `${path} (${camera.where})`);
    const stats = await videoStats(source, camera, timestamps, toleranceS);
    const seconds = frames / fps;
    if (!whole) {
      const file = await prepare(name);
      if (await cutVideo({ path, fromTimestamp, frames, fps }, file.to))
        return { segment: { ...file.at, from: 0, to: seconds }, stats, info };
      await forget(file);
    }
    const at = await copyWhole(name, path);
    return { segment: { ...at, from: fromTimestamp, to: fromTimestamp + seconds }, stats, info };
  };

  const forget = async (file: FreshFile): Promise<void> => {
    const { name, path, copied } = file;
    fresh.delete(file);
    next.set(name, next.get(name)! - 1);
    if (copied !== undefined) copies.delete(copied);
    await staging.discard(path);
  };

  return {
    async add(name, episode, timestamps, where) {
      const camera = { name, ...imageSize(name, features[name]!), frames: episode.frames, where };
      const source = episode.videos?.[name];
      if (source) return copy(source, camera, timestamps);
      const { to, at } = await prepare(name);
      const stats = await encodeEpisode(to, episode.images![name]!, camera, fps, encoding);
      const info = await videoInfo(to);
      checkFormat(name, info, where);
      return { segment: { ...at, from: 0, to: episode.frames / fps }, stats, info };
    },
    async undo() {
      for (const file of [...fresh]) await forget(file);
    },
    keep() {
      fresh.clear();
    },
  };
}
