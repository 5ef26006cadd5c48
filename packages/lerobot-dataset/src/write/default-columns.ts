/** @file The five columns that every LeRobot dataset has besides its own. */
import type { NdArray } from "@insula/model-types";

/** Where an episode stands in its dataset. */
export interface EpisodePlace {
  fps: number;
  /** The dataset's frames before it. */
  from: number;
  episode: number;
  /** `task_index` of a frame. */
  task: (frame: number) => number;
  /** Seconds from the episode's start, if not `frame_index / fps`. */
  timestamps?: NdArray | undefined;
}

/** Counters are int64, `timestamp` is float32 seconds; `[frames]` each. */
export function defaultColumns(frames: number, place: EpisodePlace): Record<string, NdArray> {
  const { fps, from, episode, task, timestamps } = place;
  const column = (data: Float32Array | BigInt64Array): NdArray => ({ data, shape: [frames] });
  const int = (of: (i: number) => number): NdArray =>
    column(BigInt64Array.from({ length: frames }, (_, i) => BigInt(of(i))));
  const seconds = (i: number): number => (timestamps ? Number(timestamps.data[i]) : i / fps);
  return {
    timestamp: column(Float32Array.from({ length: frames }, (_, i) => seconds(i))),
    frame_index: int((i) => i),
    episode_index: int(() => episode),
    index: int((i) => from + i),
    task_index: int(task),
  };
}
