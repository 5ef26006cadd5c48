/** @file A dataset as a configuration sees it: at the frame rate that it asks for. */
import {
  type LeRobotDataset,
  type OpenOptions,
  openLeRobotDataset,
  resampleFps,
} from "@insula/lerobot-dataset";
import type { DataConfig } from "../configs/types.js";
import type { RobotSpec } from "./robots.js";

/**
 * Open the dataset in `dir`, resampled where `data.fps` is another rate than its own: actions that are displacements
 * per step are scaled, everything else is interpolated as it is.
 * @throws InsulaError as `openLeRobotDataset` and `resampleFps`.
 */
export async function openDataset(
  dir: string,
  { fps }: Pick<DataConfig, "fps">,
  spec: Pick<RobotSpec, "actionKey" | "perStepActions">,
  options: OpenOptions = {},
): Promise<LeRobotDataset> {
  const dataset = await openLeRobotDataset(dir, options);
  if (fps === null || fps === dataset.fps) return dataset;
  const { actionKey, perStepActions } = spec;
  const column = [actionKey, "actions", "action"].find((name) => Object.hasOwn(dataset.features, name));
  try {
    return await resampleFps(dataset, fps, {
      perStep: column && perStepActions.length > 0 ? { [column]: perStepActions } : {},
    });
  } catch (error) {
    await dataset.close();
    throw error;
  }
}
