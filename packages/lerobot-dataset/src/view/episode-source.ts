/** @file What the views need of a dataset, and what a view that is like a dataset has. */
import type { LeRobotDataset } from "../read/dataset.js";

/** Frames in episodes, with numeric columns over all of them: a dataset, or one at another frame rate. */
export type EpisodeSource = Pick<
  LeRobotDataset,
  | "root"
  | "fps"
  | "features"
  | "cameras"
  | "tasks"
  | "episodes"
  | "totalFrames"
  | "column"
  | "sample"
  | "locate"
>;
