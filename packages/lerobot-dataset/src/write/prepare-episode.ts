/** @file From an episode as it was handed over to what its files will hold. */
import { type NdArray, sizeOf } from "@insula/model-types";
import type { ColumnSource } from "hyparquet-writer";
import { imageSize, isNumeric } from "../features.js";
import type { Beginning } from "./begin.js";
import { defaultColumns } from "./default-columns.js";
import { imageCells } from "./episode-images.js";
import type { EpisodeInput } from "./episode-input.js";
import { imageColumn, toCells } from "./parquet-columns.js";
import { type FeatureStats, numericStats } from "./stats.js";
import type { VideoFiles, WrittenVideo } from "./video-files.js";

/** One feature of an episode, ready to be written. */
export interface PreparedFeature {
  name: string;
  /** Its column in the data file; videos have none. */
  source?: ColumnSource;
  stats?: FeatureStats;
  video?: WrittenVideo;
}

/** Where an episode will stand. */
export interface EpisodePosition {
  index: number;
  /** The dataset's frames before it. */
  from: number;
  /** `task_index` of a frame. */
  task: (frame: number) => number;
}

/**
 * Prepare all features of a checked episode, in their order; videos are encoded or copied, cameras side by side, since
 * what decodes and encodes them runs on other threads.
 * @throws what the first feature that is refused throws, once the others are done.
 */
export async function prepareEpisode(
  { features, fps, statShapes }: Pick<Beginning, "features" | "fps" | "statShapes">,
  videos: VideoFiles,
  episode: EpisodeInput,
  { index, from, task }: EpisodePosition,
): Promise<PreparedFeature[]> {
  const { frames, timestamps } = episode;
  const where = `episode ${index}`;
  const columns: Record<string, NdArray | readonly string[]> = {
    ...episode.columns,
    ...defaultColumns(frames, { fps, from, episode: index, task, timestamps }),
  };
  const seconds = (columns["timestamp"] as NdArray).data as Float32Array;

  const prepare = async (name: string): Promise<PreparedFeature> => {
    const feature = features[name]!;
    const { dtype, shape } = feature;
    const nested = statShapes[name];
    if (dtype === "video") {
      const video = await videos.add(name, episode, seconds, where);
      return { name, video, ...(nested && { stats: video.stats }) };
    }
    if (dtype === "image") {
      const camera = { name, ...imageSize(name, feature), frames, where };
      const { cells, stats } = await imageCells(episode.images![name]!, camera);
      return { name, source: imageColumn(name, cells), ...(nested && { stats }) };
    }
    const column = columns[name]!;
    if (!isNumeric(dtype)) return { name, source: { name, data: [...(column as readonly string[])] } };
    const numbers = column as NdArray;
    return {
      name,
      source: { name, data: toCells(numbers, dtype, shape) },
      ...(nested && { stats: numericStats(numbers, sizeOf(nested)) }),
    };
  };
  const settled = await Promise.allSettled(Object.keys(features).map(prepare));
  return settled.map((result) => {
    if (result.status === "fulfilled") return result.value;
    throw result.reason;
  });
}

/** The `task_index` of every frame, the episode's texts in order of appearance, and those not known yet. */
export function tasksOf(
  { task }: EpisodeInput,
  known: ReadonlyMap<string, number>,
  next: number,
): { perFrame: (frame: number) => number; texts: string[]; added: string[] } {
  const texts = [...new Set(typeof task === "string" ? [task] : task)];
  const added = texts.filter((text) => !known.has(text));
  const index = new Map(texts.map((text) => [text, known.get(text) ?? next + added.indexOf(text)]));
  return { texts, added, perFrame: (frame) => index.get(typeof task === "string" ? task : task[frame]!)! };
}

/** What there is of something, by feature, in the order of the features. */
export function byName<T>(
  features: readonly PreparedFeature[],
  of: (feature: PreparedFeature) => T | undefined,
): Record<string, T> {
  const entries = features.flatMap((feature): [string, T][] => {
    const value = of(feature);
    return value === undefined ? [] : [[feature.name, value]];
  });
  return Object.fromEntries(entries);
}
