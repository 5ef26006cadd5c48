/** @file What an episode is: its frames in the dataset, and the files that hold them. */
import type { InsulaError } from "@insula/model-types";

/** Where one camera's frames of an episode lie. */
export interface VideoLocation {
  /** Relative to the dataset. */
  readonly path: string;
  /** Seconds into the file at which the episode begins. */
  readonly fromTimestamp: number;
}

/** One episode: its frames `[from, to)` in the dataset, and the files that hold them. */
export interface Episode {
  /** `episode_index`. */
  readonly index: number;
  /** Number of frames. */
  readonly length: number;
  /** First frame of the episode in the dataset. */
  readonly from: number;
  /** One past its last frame. */
  readonly to: number;
  readonly tasks: readonly string[];
  /** Its parquet file, relative to the dataset, and its first row there. */
  readonly data: { readonly path: string; readonly row: number };
  /** By feature name; cameras of dtype `video` only. */
  readonly videos: Readonly<Record<string, VideoLocation>>;
}

/** What to do with a problem: throw it, or note it and leave the episode out. */
export type Report = (problem: InsulaError) => void;
