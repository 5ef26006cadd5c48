/** @file What a filter of frames asks for, and what it reports. */
import type { NdArray } from "@insula/model-types";
import type { FrameLocation, FrameSource } from "../frame-source.js";
import type { EpisodeSource } from "./episode-source.js";
import type { IdleOptions } from "./idle.js";
import type { FrameRange } from "./ranges.js";

/** Which frames to keep; a frame must pass all that is given. */
export interface FrameFilter {
  /** `episode_index` of the episodes to keep. */
  episodes?: readonly number[];
  /** Instructions to keep, or what they must match. */
  tasks?: readonly string[] | RegExp;
  /** Keep the episodes that succeeded (true) or failed (false). */
  success?: boolean;
  /** The feature that says so, 1 in any frame. Default: `next.success`, `success` or `is_episode_successful`. */
  successColumn?: string;
  /** Frames to keep, by `episode_index`; an episode that is not named keeps none. */
  ranges?: ReadonlyMap<number, readonly FrameRange[]>;
  /** Drop pauses. `true`: with openpi's numbers for DROID. */
  idle?: IdleOptions | boolean;
  /** Any other test. */
  where?: FrameTest;
}

/** A test of some numeric features of a frame. */
export interface FrameTest {
  /** The features that it looks at. */
  readonly columns: readonly string[];
  /** Whether to keep the frame at `at`, whose features are `row`. */
  readonly keep: (row: Readonly<Record<string, NdArray>>, at: FrameLocation) => boolean;
}

/** Why frames are dropped, in the order in which the reasons are looked at. */
export const FILTER_REASONS = ["episodes", "tasks", "success", "ranges", "idle", "where"] as const;
/** One of {@link FILTER_REASONS}. */
export type FilterReason = (typeof FILTER_REASONS)[number];

/** What a filter did. `kept` and all of `dropped` add up to `frames`. */
export interface FilterReport {
  frames: number;
  kept: number;
  /** Frames by the first reason that dropped them. */
  dropped: Record<FilterReason, number>;
  /** Episodes of the dataset, and those with a frame left. */
  episodes: { total: number; kept: number };
}

/** Frames `[from, to)` of an episode, counted from its start. */
export interface EpisodeRange {
  readonly episode: number;
  readonly from: number;
  readonly to: number;
}

/** The frames that passed, numbered in the dataset's order. */
export interface FilteredFrames extends FrameSource {
  readonly dataset: EpisodeSource;
  readonly ranges: readonly EpisodeRange[];
  readonly report: FilterReport;
  locate(index: number): FrameLocation;
}

/** `4120 of 9000 frames in 80 of 100 episodes; dropped: tasks 900, idle 3980`. */
export function filterSummary({ frames, kept, dropped, episodes }: FilterReport): string {
  const why = FILTER_REASONS.filter((r) => dropped[r] > 0).map((r) => `${r} ${dropped[r]}`);
  return `${kept} of ${frames} frames in ${episodes.kept} of ${episodes.total} episodes; dropped: ${why.join(", ") || "none"}`;
}
