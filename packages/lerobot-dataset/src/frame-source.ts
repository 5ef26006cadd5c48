/**
 * @file What a loader visits: frames by number. A dataset is one; filters, resampled and mixed datasets are
 * others. Nothing here reads anything.
 */
import type { Sample } from "@insula/model-types";
import type { SampleOptions } from "./read/sample.js";

/** Which frame of which episode of which dataset a number stands for. */
export interface FrameLocation {
  /** The dataset's folder. */
  readonly dataset: string;
  /** `episode_index`. */
  readonly episode: number;
  /** `frame_index`: position in the episode. */
  readonly frame: number;
}

/** Frames numbered `[0, totalFrames)`. */
export interface FrameSource {
  readonly totalFrames: number;
  /** One frame; see `LeRobotDataset.sample`. The caller may keep and change what it is given. */
  sample(index: number, options?: SampleOptions): Promise<Sample>;
  /**
   * The frames of epoch `epoch`, in the order in which a shuffling loader visits them: a function of its arguments
   * alone, of the same length in every epoch. Without it every frame comes once, as `epochOrder` has it.
   */
  order?(seed: number, epoch: number): Uint32Array;
  /**
   * Where a frame comes from: names it in errors, and neighbours of one episode go to the same worker, whose
   * decoders stand there already.
   */
  locate?(index: number): FrameLocation;
}
