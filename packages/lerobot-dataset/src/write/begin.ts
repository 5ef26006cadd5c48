/** @file Where a writer begins: an empty dataset, or what an existing one holds. */
import { InsulaError } from "@insula/model-types";
import { DEFAULT_FEATURES, type FeatureSpec, type Features } from "../features.js";
import { DATA_PATH_V3, VIDEO_PATH_V3 } from "../paths.js";
import { checkFeature } from "./episode-input.js";
import type { FeatureStats } from "./stats.js";
import type { ColumnElements } from "./table-file.js";
import { episodeColumns, statShapes } from "./tables.js";

/** The format version written. */
export const WRITTEN_VERSION = "v3.0";

/** What is there before the first new episode, and how the dataset is laid out. */
export interface Beginning {
  /** All features: the dataset's own and the five default ones. */
  features: Features;
  fps: number;
  /** meta/info.json but for counts, splits and features. */
  info: Readonly<Record<string, unknown>>;
  dataPath: string;
  videoPath: string;
  chunksSize: number;
  maxDataBytes: number;
  episodes: number;
  frames: number;
  /** Text → `task_index`. */
  tasks: Map<string, number>;
  stats: Record<string, FeatureStats>;
  /** How statistics are nested, by feature: as the existing ones are. */
  statShapes: Readonly<Record<string, readonly number[]>>;
  /** The number of the next file of each kind; videos by camera. */
  next: { data: number; table: number; videos: Map<string, number> };
  /** The columns of meta/episodes. */
  columns: readonly ColumnElements[];
}

/** What a new dataset is, as its meta/info.json will say. */
export interface NewDataset {
  /** Frames per second; `timestamp` is `frame_index / fps`. */
  fps: number;
  robotType: string | null;
  /** The dataset's own features. timestamp, frame_index, episode_index, index, task_index are added. */
  features: Readonly<Record<string, FeatureSpec>>;
  /** A new data file begins after this many megabytes (LeRobot's default: 100). */
  dataFilesSizeInMb?: number;
  /** Files per chunk folder (LeRobot's default: 1000). */
  chunksSize?: number;
}

/** @throws InsulaError `dataset/fps`, `dataset/feature` */
export function emptyDataset(options: NewDataset): Beginning {
  const { fps, robotType, dataFilesSizeInMb = 100, chunksSize = 1000 } = options;
  if (!(fps > 0 && Number.isFinite(fps))) {
    throw new InsulaError("dataset/fps", `fps: expected a positive number, found ${fps}`);
  }
  for (const [name, feature] of Object.entries(options.features)) checkFeature(name, feature);
  const own = Object.entries(options.features).map(([name, spec]) => [
    name,
    { ...spec, names: spec.names ?? null },
  ]);
  const features: Features = { ...Object.fromEntries(own), ...DEFAULT_FEATURES };
  const videos = Object.values(features).some(({ dtype }) => dtype === "video");
  return {
    features,
    fps,
    info: {
      codebase_version: WRITTEN_VERSION,
      robot_type: robotType,
      total_episodes: 0,
      total_frames: 0,
      total_tasks: 0,
      chunks_size: chunksSize,
      data_files_size_in_mb: dataFilesSizeInMb,
      video_files_size_in_mb: 200,
      fps,
      splits: {},
      data_path: DATA_PATH_V3,
      video_path: videos ? VIDEO_PATH_V3 : null,
    },
    dataPath: DATA_PATH_V3,
    videoPath: VIDEO_PATH_V3,
    chunksSize,
    maxDataBytes: dataFilesSizeInMb * 2 ** 20,
    episodes: 0,
    frames: 0,
    tasks: new Map(),
    stats: {},
    statShapes: statShapes(features),
    next: { data: 0, table: 0, videos: new Map() },
    columns: episodeColumns(features, statShapes(features)),
  };
}
