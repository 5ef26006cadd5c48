/** @file What a dataset is, at a glance: counts, cameras, features with their ranges, tasks, disk space. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { sizeOf } from "@insula/model-types";
import { type FeatureSpec, imageSize, isCamera, isNumeric } from "../features.js";
import { filesOf } from "../read/columns.js";
import { type LeRobotDataset, type OpenOptions, openLeRobotDataset } from "../read/dataset.js";
import { dimNames } from "../read/dim-names.js";
import type { CodebaseVersion } from "../read/info.js";
import { type DatasetRoot, datasetRoot } from "../read/root.js";
import { checkDataFile } from "../validate/data-files.js";
import { type CellCheck, numbersCheck } from "../validate/row-checks.js";
import { probeVideo } from "../video/probe.js";

/** A camera: what info.json says of it, and its first video file. */
export interface CameraSummary {
  readonly name: string;
  readonly stored: "video" | "image";
  readonly height: number;
  readonly width: number;
  /** FFmpeg's name; undefined for images, and where no video is there. */
  readonly codec?: string;
  readonly fps?: number;
}

/** A feature of numbers or text. */
export interface FeatureSummary {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Names of its numbers, where info.json has them. */
  readonly names?: readonly string[];
  /** Least and greatest of each number over all frames; absent for text, without `ranges`, or where there are none. */
  readonly min?: readonly number[];
  readonly max?: readonly number[];
}

/** An instruction, and how much of the dataset is of it. */
export interface TaskSummary {
  readonly index: number;
  readonly task: string;
  readonly episodes: number;
  readonly frames: number;
}

/** See {@link summarizeLeRobotDataset}. */
export interface DatasetSummary {
  readonly root: string;
  readonly version: CodebaseVersion;
  readonly robotType: string | null;
  readonly fps: number;
  readonly episodes: number;
  readonly frames: number;
  readonly seconds: number;
  /** Frames per episode. */
  readonly lengths: { readonly min: number; readonly median: number; readonly max: number };
  readonly cameras: readonly CameraSummary[];
  readonly features: readonly FeatureSummary[];
  readonly tasks: readonly TaskSummary[];
  readonly bytes: { readonly meta: number; readonly data: number; readonly videos: number };
  /** Files that the metadata name and that are not there. */
  readonly missing: readonly string[];
}

/** With `ranges: false` the data files are not read: no ranges, and frames per task by the episode table. */
export interface SummaryOptions extends OpenOptions {
  ranges?: boolean;
}

/**
 * Summarise a dataset. Data files that are missing or broken are left out of the ranges.
 * @throws InsulaError as opening it does.
 */
export async function summarizeLeRobotDataset(
  source: string,
  options: SummaryOptions = {},
): Promise<DatasetSummary> {
  const dataset = await openLeRobotDataset(source, options);
  const root = await datasetRoot(dataset.root, { followLinks: options.followLinks ?? false });
  const { info, episodes, totalFrames, fps } = dataset;
  const missing = await dataset.missingFiles({ cameras: dataset.cameras });
  await dataset.close();
  const gone = new Set(missing);
  const size = async (paths: Iterable<string>): Promise<number> => {
    let bytes = 0;
    for (const path of new Set(paths)) if (!gone.has(path)) bytes += (await stat(await root.file(path))).size;
    return bytes;
  };
  const lengths = episodes.map((episode) => episode.length).sort((a, b) => a - b);
  return {
    root: dataset.root,
    version: info.codebaseVersion,
    robotType: info.robotType,
    fps,
    episodes: episodes.length,
    frames: totalFrames,
    seconds: totalFrames / fps,
    lengths: { min: lengths[0] ?? 0, median: lengths[lengths.length >> 1] ?? 0, max: lengths.at(-1) ?? 0 },
    cameras: await camerasOf(dataset, root, gone),
    ...(await readRows(dataset, root, options.ranges ?? true)),
    bytes: {
      meta: await metaSize(root),
      data: await size(episodes.map((episode) => episode.data.path)),
      videos: await size(episodes.flatMap(({ videos }) => Object.values(videos).map((video) => video.path))),
    },
    missing,
  };
}

async function metaSize(root: DatasetRoot): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(join(root.path, "meta"), { recursive: true })) {
    const found = await stat(join(root.path, "meta", name)).catch(() => undefined);
    if (found?.isFile()) bytes += found.size;
  }
  return bytes;
}

async function camerasOf(
  { cameras, features, episodes }: LeRobotDataset,
  root: DatasetRoot,
  gone: ReadonlySet<string>,
): Promise<CameraSummary[]> {
  return Promise.all(
    cameras.map(async (name): Promise<CameraSummary> => {
      const feature = features[name]!;
      const stored = feature.dtype as "video" | "image";
      const size = imageSize(name, feature);
      const path = episodes
        .map(({ videos }) => videos[name]?.path)
        .find((p) => p !== undefined && !gone.has(p));
      const video =
        path === undefined ? undefined : await probeVideo(await root.file(path)).catch(() => undefined);
      return { name, stored, ...size, ...(video && { codec: video.codec, fps: video.fps }) };
    }),
  );
}

/** Ranges of the features and frames per task, in one pass. */
async function readRows(
  { features, episodes, tasks }: LeRobotDataset,
  root: DatasetRoot,
  ranges: boolean,
): Promise<Pick<DatasetSummary, "features" | "tasks">> {
  const framesOf = new Map<number, number>();
  const ranged = new Map<string, { min: number[]; max: number[] }>();
  const checks = new Map<string, CellCheck>();
  const numbers = Object.entries(features).filter(([, feature]) => !isCamera(feature));
  for (const [name, feature] of numbers) {
    if (!isNumeric(feature.dtype)) continue;
    const length = sizeOf(feature.shape);
    const min = new Array<number>(length).fill(Number.POSITIVE_INFINITY);
    const max = new Array<number>(length).fill(Number.NEGATIVE_INFINITY);
    ranged.set(name, { min, max });
    const see = (values: Float64Array): void => {
      for (let d = 0; d < length; d++) {
        if (values[d]! < min[d]!) min[d] = values[d]!;
        if (values[d]! > max[d]!) max[d] = values[d]!;
      }
      if (name === "task_index") framesOf.set(values[0]!, (framesOf.get(values[0]!) ?? 0) + 1);
    };
    checks.set(name, numbersCheck(name, feature, see));
  }
  if (ranges) {
    for (const [path, inFile] of filesOf(episodes)) {
      // Problems are validation's business.
      for await (const _ of checkDataFile(root, path, inFile, checks));
    }
  }
  return {
    features: numbers.map(([name, feature]) => featureOf(name, feature, ranged.get(name))),
    tasks: [...tasks].map(([index, task]) => {
      const of = episodes.filter((episode) => episode.tasks.includes(task));
      const listed = of.reduce((sum, episode) => sum + episode.length, 0);
      return {
        index,
        task,
        episodes: of.length,
        frames: framesOf.size > 0 ? (framesOf.get(index) ?? 0) : listed,
      };
    }),
  };
}

function featureOf(
  name: string,
  feature: FeatureSpec,
  range: { min: number[]; max: number[] } | undefined,
): FeatureSummary {
  const names = dimNames(feature);
  const known = range?.min.every((value) => Number.isFinite(value));
  return {
    name,
    dtype: feature.dtype,
    shape: feature.shape,
    ...(names && { names }),
    ...(known && range),
  };
}
