/** @file `insula dataset merge`: several datasets of the same features as one. */
import { mergeLeRobotDatasets } from "@insula/lerobot-dataset";
import {
  addEditOptions,
  type EditCommandOptions,
  editOptions,
  sourceFolder,
  summary,
} from "./edit-options.js";
import type { InstallDataset } from "./install.js";

export const installMerge: InstallDataset = (dataset, io) => {
  const command = dataset
    .command("merge")
    .description("write several datasets of the same features, rate and robot as one")
    .argument("<datasets...>", "their folders, or owner/name on the Hugging Face hub, in order");
  addEditOptions(command).action(async (sources: string[], options: EditCommandOptions) => {
    const folders: string[] = [];
    for (const source of sources) folders.push(await sourceFolder(source, io));
    io.out(await summary(await mergeLeRobotDatasets(folders, options.out, editOptions(options, io))));
  });
};
