/** @file One camera of one episode: its pictures as parquet cells or as an mp4, and their statistics. */
import { InsulaError } from "@insula/model-types";
import { openVideo } from "../video/video-file.js";
import { openVideoEncoder, type VideoEncoding } from "./encode-video.js";
import type { VideoCopy } from "./episode-input.js";
import { imageHeader } from "./image-header.js";
import { checkImage, encodedImage, type ImageInput, type ImageInputs, imagePixels } from "./image-input.js";
import type { ImageCell } from "./parquet-columns.js";
import { type FeatureStats, pixelStats } from "./stats.js";

/** The camera and the episode. */
export interface CameraOfEpisode {
  name: string;
  height: number;
  width: number;
  frames: number;
  /** `episode 3`. */
  where: string;
}

/** Visit the pictures, checked and counted. */
async function eachImage(
  images: ImageInputs,
  camera: CameraOfEpisode,
  visit: (image: ImageInput, frame: number) => Promise<void>,
): Promise<void> {
  const { name, frames, where } = camera;
  const wrong = (found: number | string): never => {
    throw new InsulaError("dataset/shape", `${name}: expected ${frames} images, found ${found} in ${where}`);
  };
  let frame = 0;
  for await (const image of images) {
    if (frame === frames) wrong("more");
    checkImage(image, camera, { name, frame, where });
    await visit(image, frame++);
  }
  if (frame < frames) wrong(frame);
}

/** The cells of a feature of dtype `image`. */
export async function imageCells(
  images: ImageInputs,
  camera: CameraOfEpisode,
): Promise<{ cells: ImageCell[]; stats: FeatureStats }> {
  const stats = pixelStats(camera.frames);
  const cells: ImageCell[] = [];
  await eachImage(images, camera, async (image, frame) => {
    const bytes = await encodedImage(image);
    const extension = imageHeader(bytes)?.format === "jpeg" ? "jpg" : "png";
    cells.push({ bytes, path: `frame-${String(frame).padStart(6, "0")}.${extension}` });
    if (stats.wants(frame)) stats.add(await imagePixels(image, { ...camera, frame }));
  });
  return { cells, stats: stats.finish() };
}

/** Encode the pictures of a feature of dtype `video` to the file `path`. */
export async function encodeEpisode(
  path: string,
  images: ImageInputs,
  camera: CameraOfEpisode,
  fps: number,
  encoding: VideoEncoding,
): Promise<FeatureStats> {
  const stats = pixelStats(camera.frames);
  const encoder = await openVideoEncoder(path, { ...camera, fps }, encoding);
  try {
    await eachImage(images, camera, async (image, frame) => {
      const pixels = await imagePixels(image, { ...camera, frame });
      if (stats.wants(frame)) stats.add(pixels);
      await encoder.add(pixels);
    });
    await encoder.finish();
  } finally {
    encoder.close();
  }
  return stats.finish();
}

/**
 * Statistics of an episode that lies in a video already, and a check that its first, last and some frames between
 * are there.
 * @param timestamps seconds of its frames from the episode's start.
 */
export async function videoStats(
  { path, fromTimestamp = 0 }: VideoCopy,
  camera: CameraOfEpisode,
  timestamps: ArrayLike<number>,
  toleranceS?: number,
): Promise<FeatureStats> {
  const { name, height, width, frames, where } = camera;
  const stats = pixelStats(frames);
  const video = await openVideo(path, toleranceS === undefined ? {} : { toleranceS });
  try {
    for (let frame = 0; frame < frames; frame++) {
      if (!stats.wants(frame) && frame !== frames - 1) continue;
      const { data, shape } = await video.frame(fromTimestamp + timestamps[frame]!);
      if (shape[0] !== height || shape[1] !== width) {
        throw new InsulaError(
          "dataset/shape",
          `${name}: expected ${height}x${width} pixels (height x width), found ${shape[0]}x${shape[1]} in ${path} (${where})`,
        );
      }
      if (stats.wants(frame)) stats.add(data);
    }
  } finally {
    await video.close();
  }
  return stats.finish();
}
