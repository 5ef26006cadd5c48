/** @file What a caller hands the writer: one episode, and the checks before any of it is written. */
import { InsulaError, type NdArray, sizeOf } from "@insula/model-types";
import { DEFAULT_FEATURES, type FeatureSpec, type Features, imageSize, isNumeric } from "../features.js";
import type { ImageInputs } from "./image-input.js";

/** Frames of an mp4 that is there already; they are copied, not encoded again. */
export interface VideoCopy {
  path: string;
  /** Seconds into the file at which the episode begins. Default: 0. */
  fromTimestamp?: number;
  /**
   * Copy the file as it is, once for all episodes that name it, instead of cutting the episode out. A file that
   * cannot be cut without decoding is copied whole anyway.
   */
  whole?: boolean;
}

/** One whole episode: every one of the dataset's own features is in `columns`, `images` or `videos`. */
export interface EpisodeInput {
  /** The language instruction, or one for every frame; may be empty. */
  task: string | readonly string[];
  frames: number;
  /** Numeric features, `[frames, ...shape]` each; features of dtype `string`, one text per frame. */
  columns: Readonly<Record<string, NdArray | readonly string[]>>;
  /** One picture per frame for features of dtype `image` (stored as PNG or JPEG) or `video` (encoded). */
  images?: Readonly<Record<string, ImageInputs>>;
  /** Instead of pictures, for features of dtype `video`. */
  videos?: Readonly<Record<string, VideoCopy>>;
  /** Seconds from the start of the episode, `[frames]`. Default: `frame_index / fps`. */
  timestamps?: NdArray;
}

/** @throws InsulaError `dataset/feature` for a feature that cannot be written. */
export function checkFeature(name: string, feature: FeatureSpec): void {
  const refuse = (problem: string): never => {
    throw new InsulaError("dataset/feature", `feature '${name}': ${problem}`);
  };
  if (name in DEFAULT_FEATURES) refuse("is added by the writer; leave it out");
  if (name.includes("/")) refuse("names may not contain '/'");
  if (name === "" || name === "." || name === "..") refuse("is no name for a folder");
  if (!feature.shape.every((d) => Number.isSafeInteger(d) && d > 0)) {
    refuse(`expected positive dimensions, found [${feature.shape.join(", ")}]`);
  }
  if (feature.dtype === "image" || feature.dtype === "video") {
    const { height, width } = imageSize(name, feature);
    if (feature.dtype === "video" && (height % 2 || width % 2))
      refuse(`videos need an even height and width, found ${height}x${width}; use dtype 'image'`);
  } else if (feature.dtype !== "string" && !isNumeric(feature.dtype)) {
    refuse(`cannot write dtype '${feature.dtype}'; use a number, 'string', 'image' or 'video'`);
  }
}

/** Check everything of an episode but its pictures. @throws InsulaError `dataset/…` */
export function checkEpisode(features: Features, episode: EpisodeInput, where: string): void {
  const { frames, columns, images = {}, videos = {}, task, timestamps } = episode;
  if (!(Number.isSafeInteger(frames) && frames > 0)) {
    throw new InsulaError("dataset/shape", `${where}: expected at least one frame, found ${frames}`);
  }
  if (typeof task !== "string" && task.length !== frames) {
    throw new InsulaError(
      "dataset/shape",
      `${where}: expected ${frames} tasks, one per frame, found ${task.length}`,
    );
  }
  for (const name of [columns, images, videos].flatMap((given) => Object.keys(given))) {
    if (Object.hasOwn(features, name)) continue;
    const known = Object.keys(features).join(", ");
    throw new InsulaError(
      "dataset/unknown-key",
      `${where}: '${name}' is not a feature of this dataset (${known})`,
    );
  }
  if (timestamps) checkColumn("timestamp", DEFAULT_FEATURES["timestamp"]!, timestamps, frames, where);
  for (const [name, feature] of Object.entries(features)) {
    const { dtype } = feature;
    if (dtype === "image") checkCount(name, images[name], frames, where);
    else if (dtype === "video") {
      if (!videos[name]) checkCount(name, images[name], frames, where);
    } else if (dtype === "string") checkTexts(name, columns[name], frames, where);
    else checkColumn(name, feature, columns[name], frames, where);
  }
}

function checkCount(name: string, images: ImageInputs | undefined, frames: number, where: string): void {
  if (images && !Array.isArray(images)) return; // Counted as they come.
  const found = (images as { length: number } | undefined)?.length;
  if (found === frames) return;
  throw new InsulaError(
    "dataset/shape",
    `${name}: expected ${frames} images, found ${found ?? "none"} in ${where}`,
  );
}

function checkTexts(name: string, texts: unknown, frames: number, where: string): void {
  if (texts === undefined) throw new InsulaError("dataset/missing-key", `${where}: no column '${name}'`);
  if (Array.isArray(texts) && texts.length === frames && texts.every((t) => typeof t === "string")) return;
  throw new InsulaError("dataset/shape", `${name}: expected ${frames} strings in ${where}`);
}

function checkColumn(
  name: string,
  { shape, dtype }: FeatureSpec,
  column: NdArray | readonly string[] | undefined,
  frames: number,
  where: string,
): void {
  if (!column) throw new InsulaError("dataset/missing-key", `${where}: no column '${name}'`);
  if (!("shape" in column)) {
    throw new InsulaError("dataset/dtype", `${name}: expected ${dtype} values, found texts in ${where}`);
  }
  const expected = [frames, ...shape];
  const flat = sizeOf(shape) === 1 && column.shape.length === 1 && column.shape[0] === frames;
  if (!flat && column.shape.join() !== expected.join()) {
    throw new InsulaError(
      "dataset/shape",
      `${name}: expected [${expected.join(", ")}], found [${column.shape.join(", ")}] in ${where}`,
    );
  }
  const fractional = column.data instanceof Float32Array || column.data instanceof Float64Array;
  if (!dtype.startsWith("float") && fractional) {
    throw new InsulaError(
      "dataset/dtype",
      `${name}: expected ${dtype} values, found a ${column.data.constructor.name} in ${where}`,
    );
  }
  const dim = sizeOf(shape);
  const bad = fractional ? (column.data as Float32Array).findIndex((x) => !Number.isFinite(x)) : -1;
  if (bad >= 0) {
    throw new InsulaError(
      "dataset/not-finite",
      `${name}: ${column.data[bad]} in ${where}, frame ${Math.floor(bad / dim)}, dim ${bad % dim}`,
    );
  }
}
