/**
 * @file Frames of all videos of a dataset: a bounded number of open decoders, and decoded frames kept up to a
 * limit in bytes.
 */
import { access } from "node:fs/promises";
import { InsulaError, type NdArray } from "@insula/model-types";
import { createByteCache } from "../byte-cache.js";
import { createPool } from "../pool.js";
import { openVideo, type VideoFile, type VideoOptions } from "./video-file.js";

export interface VideoStore {
  /** The frame nearest to `seconds` of the file `path`: uint8 `[height, width, 3]`, the caller's own copy. */
  pixels(path: string, seconds: number): Promise<NdArray<Uint8Array>>;
  close(): Promise<void>;
}

export function videoStore(options: VideoOptions & { cacheBytes: number; openVideos: number }): VideoStore {
  const cache = createByteCache<NdArray<Uint8Array>>(options.cacheBytes);
  const files = createPool<VideoFile>({
    limit: options.openVideos,
    open: async (path) => {
      await access(path).catch((cause: unknown) => {
        throw new InsulaError(
          "dataset/missing-file",
          `${path}: the dataset names this video, but it is not there; download it, or leave its camera or episode out`,
          { cause },
        );
      });
      return openVideo(path, options);
    },
    close: (file) => file.close(),
  });
  return {
    async pixels(path, seconds) {
      const key = `${path}@${seconds}`;
      const held = cache.get(key);
      if (held) return { data: held.data.slice(), shape: held.shape };
      const frame = await files.use(path, (file) => file.frame(seconds));
      if (options.cacheBytes < frame.data.byteLength) return frame;
      cache.set(key, { data: frame.data.slice(), shape: frame.shape }, frame.data.byteLength);
      return frame;
    },
    async close() {
      cache.clear();
      await files.close();
    },
  };
}
