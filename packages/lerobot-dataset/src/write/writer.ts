/**
 * @file Write a LeRobot v3.0 dataset in the layout of LeRobot's own writer. The dataset is built in a folder
 * beside its destination and renamed into place by {@link LeRobotWriter.finalize}: a killed or failed writer
 * leaves nothing under the destination's name.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { InsulaError, type NdArray, sizeOf } from "@insula/model-types";
import type { ColumnSource } from "hyparquet-writer";
import sharp from "sharp";
import { DEFAULT_FEATURES, type FeatureSpec, type Features, imageSize, isNumeric } from "../features.js";
import { DATA_PATH_V3, EPISODES_PATH, expandTemplate } from "../paths.js";
import { type DataFiles, dataFiles } from "./data-files.js";
import { imageColumn, toCells } from "./parquet-columns.js";
import { aggregateStats, type FeatureStats, imageStats, numericStats, statEntries } from "./stats.js";
import { type EpisodeRow, episodesTable, statShape, tasksTable } from "./tables.js";

/** The format version written. */
export const WRITTEN_VERSION = "v3.0";

/**
 * What a new dataset is, as its meta/info.json will say. Features are numeric or of dtype `image`, stored as
 * encoded bytes in the data files; videos are not written.
 */
export interface CreateOptions {
  /** Frames per second; `timestamp` is `frame_index / fps`. */
  fps: number;
  robotType: string;
  /** The dataset's own features. timestamp, frame_index, episode_index, index, task_index are added. */
  features: Record<string, FeatureSpec>;
  /** A new data file begins after this many megabytes (LeRobot's default: 100). */
  dataFilesSizeInMb?: number;
  /** Files per chunk folder (LeRobot's default: 1000). */
  chunksSize?: number;
}

/** One whole episode: under each of the dataset's own features either a column or images. */
export interface EpisodeInput {
  /** The language instruction; may be empty. */
  task: string;
  frames: number;
  /** Numeric features, `[frames, ...shape]` each. */
  columns: Record<string, NdArray>;
  /** Encoded PNG (or JPEG) bytes, one per frame, for every feature of dtype `image`. */
  images: Record<string, readonly Uint8Array[]>;
}

/**
 * A dataset being written. Calls queue up: episodes are numbered in the order of the calls, awaited or not.
 * After `finalize`, `abort` or a failed write, `addEpisode` and `finalize` throw `dataset/writer-closed`.
 */
export interface LeRobotWriter {
  /**
   * Append one episode.
   * @throws InsulaError `dataset/…` when a feature is missing, unknown, of another shape, or not finite. The
   * episode is checked before anything of it is written.
   */
  addEpisode(episode: EpisodeInput): Promise<void>;
  /** Write the metadata and move the dataset into place. @throws InsulaError `dataset/exists`. */
  finalize(): Promise<void>;
  /** Give up: remove everything written so far. Does nothing once finalized. */
  abort(): Promise<void>;
}

/**
 * Begin a new dataset that will appear at `dir` when it is finalized.
 * @throws InsulaError `dataset/exists` when `dir` exists, `dataset/feature` for a feature that cannot be written.
 */
export async function createLeRobotDataset(dir: string, options: CreateOptions): Promise<LeRobotWriter> {
  const destination = resolve(dir);
  const { fps, robotType, dataFilesSizeInMb = 100, chunksSize = 1000 } = options;
  if (!(fps > 0 && Number.isFinite(fps))) {
    throw new InsulaError("dataset/fps", `fps: expected a positive number, found ${fps}`);
  }
  for (const [name, feature] of Object.entries(options.features)) checkFeature(name, feature);
  refuseExisting(destination);

  const own = Object.entries(options.features).map(([name, spec]) => [
    name,
    { ...spec, names: spec.names ?? null },
  ]);
  const features: Features = { ...Object.fromEntries(own), ...DEFAULT_FEATURES };
  const unique = randomUUID().slice(0, 8);
  const building = join(dirname(destination), `.${basename(destination)}.partial-${unique}`);
  await mkdir(building, { recursive: true });
  const data: DataFiles = dataFiles(building, features, {
    maxBytes: dataFilesSizeInMb * 2 ** 20,
    chunksSize,
  });
  const taskIndex = new Map<string, number>();
  const episodes: EpisodeRow[] = [];
  let totalFrames = 0;
  let state: "open" | "failed" | "finalized" | "aborted" = "open";
  /** One call at a time: episodes are numbered in the order of the calls, awaited or not. */
  let queue: Promise<unknown> = Promise.resolve();
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const turn = queue.then(() => {
      if (state === "open") return work();
      throw new InsulaError("dataset/writer-closed", `${destination}: the writer is ${state}`);
    });
    queue = turn.catch(() => {});
    return turn;
  };

  const addEpisode = async (episode: EpisodeInput): Promise<void> => {
    const where = `episode ${episodes.length}`;
    const images = await checkEpisode(options.features, episode, where);
    const task = taskIndex.get(episode.task) ?? taskIndex.size;
    const columns = {
      ...episode.columns,
      ...defaultColumns(episode.frames, { fps, from: totalFrames, episode: episodes.length, task }),
    };
    const stats: Record<string, FeatureStats> = {};
    const sources: ColumnSource[] = [];
    for (const [name, { dtype, shape }] of Object.entries(features)) {
      if (dtype === "image") {
        stats[name] = await imageStats(images[name]!);
        sources.push(
          imageColumn(
            name,
            images[name]!.map((bytes, i) => ({
              bytes,
              path: `frame-${String(i).padStart(6, "0")}.png`,
            })),
          ),
        );
      } else if (isNumeric(dtype)) {
        stats[name] = numericStats(columns[name]!);
        sources.push({ name, data: toCells(columns[name]!, dtype, shape) });
      }
    }
    state = "failed"; // Unless the rows below arrive whole.
    const { chunk, file } = await data.append(sources, episode.frames);
    state = "open";
    taskIndex.set(episode.task, task);
    episodes.push({
      tasks: [episode.task],
      length: episode.frames,
      dataChunk: chunk,
      dataFile: file,
      from: totalFrames,
      to: totalFrames + episode.frames,
      stats,
    });
    totalFrames += episode.frames;
  };

  const finalize = async (): Promise<void> => {
    if (episodes.length === 0) {
      throw new InsulaError("dataset/empty", `${destination}: add at least one episode before finalize()`);
    }
    await data.close();
    const episodesPath = join(building, expandTemplate(EPISODES_PATH, { chunk_index: 0, file_index: 0 }));
    await mkdir(dirname(episodesPath), { recursive: true });
    await writeFile(episodesPath, episodesTable(episodes, features), { flush: true });
    const meta = (name: string, bytes: string | Uint8Array): Promise<void> =>
      writeFile(join(building, "meta", name), bytes, { flush: true });
    await meta("tasks.parquet", tasksTable([...taskIndex.keys()]));
    await meta("stats.json", json(datasetStats(episodes, features)));
    await meta(
      "info.json",
      json({
        codebase_version: WRITTEN_VERSION,
        robot_type: robotType,
        total_episodes: episodes.length,
        total_frames: totalFrames,
        total_tasks: taskIndex.size,
        chunks_size: chunksSize,
        data_files_size_in_mb: dataFilesSizeInMb,
        video_files_size_in_mb: 200,
        fps,
        splits: { train: `0:${episodes.length}` },
        data_path: DATA_PATH_V3,
        video_path: null,
        features,
      }),
    );
    refuseExisting(destination);
    await rename(building, destination);
    state = "finalized";
  };

  return {
    addEpisode: (episode) => inTurn(() => addEpisode(episode)),
    finalize: () => inTurn(finalize),
    async abort() {
      await queue;
      if (state === "finalized") return;
      state = "aborted";
      await rm(building, { recursive: true, force: true });
    },
  };
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 4)}\n`;

function refuseExisting(path: string): void {
  if (existsSync(path)) {
    throw new InsulaError("dataset/exists", `${path} exists; remove it or choose another folder`);
  }
}

function datasetStats(episodes: readonly EpisodeRow[], features: Features): Record<string, unknown> {
  const names = Object.keys(episodes[0]!.stats);
  const entries = names.map((name) => {
    const { dtype, shape } = features[name]!;
    const stats = aggregateStats(episodes.map((e) => e.stats[name]!));
    return [name, Object.fromEntries(statEntries(stats, statShape(dtype, shape)))];
  });
  return Object.fromEntries(entries);
}

function checkFeature(name: string, feature: FeatureSpec): void {
  const refuse = (problem: string): never => {
    throw new InsulaError("dataset/feature", `feature '${name}': ${problem}`);
  };
  if (name in DEFAULT_FEATURES) refuse("is added by the writer; leave it out");
  if (name.includes("/")) refuse("names may not contain '/'");
  if (!feature.shape.every((d) => Number.isSafeInteger(d) && d > 0)) {
    refuse(`expected positive dimensions, found [${feature.shape.join(", ")}]`);
  }
  if (feature.dtype === "image") imageSize(name, feature);
  else if (!isNumeric(feature.dtype))
    refuse(`cannot write dtype '${feature.dtype}'; use a number or 'image'`);
}

/** The columns LeRobot adds; counters are int64, `timestamp` is float32 seconds. */
function defaultColumns(
  frames: number,
  { fps, from, episode, task }: { fps: number; from: number; episode: number; task: number },
): Record<string, NdArray> {
  const column = (data: Float32Array | Float64Array | BigInt64Array): NdArray => ({ data, shape: [frames] });
  const int = (of: (i: number) => number): NdArray =>
    column(BigInt64Array.from({ length: frames }, (_, i) => BigInt(of(i))));
  return {
    timestamp: column(Float32Array.from({ length: frames }, (_, i) => i / fps)),
    frame_index: int((i) => i),
    episode_index: int(() => episode),
    index: int((i) => from + i),
    task_index: int(() => task),
  };
}

/** Check everything about an episode before a byte of it is written; returns its images by feature. */
async function checkEpisode(
  features: Record<string, FeatureSpec>,
  { frames, columns, images }: EpisodeInput,
  where: string,
): Promise<Record<string, readonly Uint8Array[]>> {
  if (!(Number.isSafeInteger(frames) && frames > 0)) {
    throw new InsulaError("dataset/shape", `${where}: expected at least one frame, found ${frames}`);
  }
  for (const name of [...Object.keys(columns), ...Object.keys(images)]) {
    if (features[name]) continue;
    const known = Object.keys(features).join(", ");
    throw new InsulaError(
      "dataset/unknown-key",
      `${where}: '${name}' is not a feature of this dataset (${known})`,
    );
  }
  for (const [name, feature] of Object.entries(features)) {
    if (feature.dtype === "image") await checkImages(name, feature, images[name], frames, where);
    else checkColumn(name, feature, columns[name], frames, where);
  }
  return images;
}

function checkColumn(
  name: string,
  { shape, dtype }: FeatureSpec,
  column: NdArray | undefined,
  frames: number,
  where: string,
): void {
  if (!column) throw new InsulaError("dataset/missing-key", `${where}: no column '${name}'`);
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

async function checkImages(
  name: string,
  feature: FeatureSpec,
  images: readonly Uint8Array[] | undefined,
  frames: number,
  where: string,
): Promise<void> {
  if (images?.length !== frames) {
    throw new InsulaError(
      "dataset/shape",
      `${name}: expected ${frames} images, found ${images?.length ?? "none"} in ${where}`,
    );
  }
  const { height, width } = imageSize(name, feature);
  for (const [i, bytes] of images.entries()) {
    const found = await sharp(bytes)
      .metadata()
      .catch((cause: unknown) => {
        throw new InsulaError("dataset/image", `${name}: frame ${i} of ${where} is not an image`, { cause });
      });
    if (found.width !== width || found.height !== height) {
      throw new InsulaError(
        "dataset/shape",
        `${name}: expected ${height}x${width} pixels (height x width), found ${found.height}x${found.width} in ${where}, frame ${i}`,
      );
    }
  }
}
