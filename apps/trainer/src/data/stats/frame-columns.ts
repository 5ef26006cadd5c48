/** @file Where the numbers of a robot lie in its dataset. */
import type { LeRobotDataset } from "@insula/lerobot-dataset";
import type { Robot } from "../../configs/types.js";
import { columnName } from "../checks.js";
import type { RobotSpec } from "../robots.js";
import type { FrameColumns } from "./frame-stats.js";

/** The dataset columns of a robot's numbers. */
export function frameColumns(
  dataset: LeRobotDataset,
  { robot, spec }: { robot: Robot; spec: RobotSpec },
): FrameColumns {
  return {
    spec,
    actions: columnName(dataset, robot, spec.actionKey),
    state: spec.stateColumns.map((key) => columnName(dataset, robot, key)),
  };
}
