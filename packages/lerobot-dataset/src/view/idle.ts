/** @file Where a robot stands still: openpi's DROID recipe (`compute_droid_nonidle_ranges.py`). */
import type { NdArray } from "@insula/model-types";
import { type FrameRange, rangesOf } from "./ranges.js";

/** When a frame is idle and what is kept. The defaults are openpi's, for DROID at 15 Hz. */
export interface IdleOptions {
  /** The feature to watch. Default: `actions`, whose first 7 dims are joint velocities in DROID. */
  column?: string;
  /** Look at its first `dims` dims: all but the gripper. Default: 7. */
  dims?: number;
  /** Idle when no dim changes by as much as this from one frame to the next. Default: 1e-3. */
  threshold?: number;
  /** Shorter pauses stay. Default: 7 frames. */
  minIdle?: number;
  /** Shorter runs between pauses go. Default: 16 frames. */
  minKept?: number;
  /** Frames to drop at the end of each kept run: its chunks would be mostly pause. Default: 10. */
  dropLast?: number;
}

/**
 * The ranges of an episode that are not idle. `values` is `[frames, dim]`. The first frame is never idle. A
 * range may become as short as `minKept - dropLast`; empty ones are left out.
 */
export function nonIdleRanges(values: NdArray, options: IdleOptions = {}): FrameRange[] {
  const { dims = 7, threshold = 1e-3, minIdle = 7, minKept = 16, dropLast = 10 } = options;
  const { data, shape } = values;
  const frames = shape[0]!;
  const width = data.length / frames;
  const idle = new Uint8Array(frames);
  for (let t = 1; t < frames; t++) {
    let still = true;
    for (let d = 0; d < dims && still; d++) {
      const change = Number(data[t * width + d]) - Number(data[(t - 1) * width + d]);
      still = Math.abs(change) < threshold;
    }
    idle[t] = +still;
  }
  const keep = new Uint8Array(frames).fill(1);
  for (const [from, to] of rangesOf(idle)) if (to - from >= minIdle) keep.fill(0, from, to);
  return rangesOf(keep)
    .filter(([from, to]) => to - from >= minKept)
    .map(([from, to]): FrameRange => [from, to - dropLast])
    .filter(([from, to]) => to > from);
}
