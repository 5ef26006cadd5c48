/**
 * @file What is wrong with a dataset is said before the first step, by name: a missing column, an action width
 * that is not the robot's, an image of the wrong rank, a file that was not copied, a NaN.
 */
import { join } from "node:path";
import { checkFinite, type LeRobotDataset } from "@insula/lerobot-dataset";
import { closestMatch, InsulaError } from "@insula/model-types";
import type { Robot } from "../configs/types.js";
import type { RobotSpec } from "./robots.js";

/**
 * Check `dataset` against what `spec` needs. Reads the numeric columns, decodes no image.
 * @throws InsulaError `data/missing-key`, `data/shape`, `data/missing-files`, `dataset/not-finite`, and the
 * dataset's own errors (a row of another width names its episode).
 */
export async function checkDataset(dataset: LeRobotDataset, robot: Robot, spec: RobotSpec): Promise<void> {
  await checkLayout(dataset, robot, spec);
  const keys = [spec.actionKey, ...spec.stateColumns];
  await checkFinite(
    dataset,
    keys.map((key) => columnName(dataset, robot, key)),
  );
}

/**
 * Check by the metadata and the names of the files alone: no number is read.
 * @throws InsulaError `data/missing-key`, `data/shape`, `data/missing-files`.
 */
export async function checkLayout(dataset: LeRobotDataset, robot: Robot, spec: RobotSpec): Promise<void> {
  const actions = columnName(dataset, robot, spec.actionKey);
  for (const key of spec.stateColumns) columnName(dataset, robot, key);
  const { shape } = dataset.features[actions]!;
  if (shape.length !== 1 || shape[0] !== spec.actionDim) {
    throw new InsulaError(
      "data/shape",
      `${actions}: expected [*, ${spec.actionDim}] for robot '${robot}', found [*, ${shape.join(", ")}] in ` +
        `meta/info.json, so in every episode from ${dataset.episodes[0]?.index ?? 0} on (${dataset.root})`,
    );
  }
  for (const key of spec.cameraColumns) {
    const camera = columnName(dataset, robot, key);
    const rank = dataset.features[camera]!.shape.length;
    if (rank !== 3) {
      throw new InsulaError(
        "data/shape",
        `${camera}: expected an image of 3 axes (height, width, channels), found ${rank} axes ` +
          `[${dataset.features[camera]!.shape.join(", ")}] in ${join(dataset.root, "meta", "info.json")}`,
      );
    }
  }
  const missing = await dataset.missingFiles({ cameras: [...spec.cameraColumns] });
  if (missing.length > 0) {
    throw new InsulaError(
      "data/missing-files",
      `${dataset.root}: ${missing.length} files that the metadata names are missing, first ${missing[0]}; was the dataset copied whole?`,
    );
  }
}

/** The dataset's column for `key`; `actions` is also found as `action`. */
export function columnName(dataset: LeRobotDataset, robot: Robot, key: string): string {
  const names = Object.keys(dataset.features);
  if (names.includes(key)) return key;
  if (key === "actions" && names.includes("action")) return "action";
  const near = closestMatch(key, names);
  throw new InsulaError(
    "data/missing-key",
    `${dataset.root}: robot '${robot}' needs the column '${key}', which this dataset does not have` +
      `${near ? ` (did it become '${near}'?)` : ""}; it has ${names.join(", ")}`,
  );
}
