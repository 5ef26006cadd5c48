/** @file `insula dataset convert`: any version as v3.0, cameras as images or videos. */
import { convertLeRobotDataset } from "@insula/lerobot-dataset";
import { InsulaError } from "@insula/model-types";
import {
  addEditOptions,
  type EditCommandOptions,
  editOptions,
  sourceFolder,
  summary,
} from "./edit-options.js";
import type { InstallDataset } from "./install.js";

interface ConvertCommandOptions extends EditCommandOptions {
  images: boolean;
  videos: boolean;
}

export const installConvert: InstallDataset = (dataset, io) => {
  const command = dataset
    .command("convert")
    .description("write a dataset (v2.0, v2.1 or v3.0) as LeRobot v3.0, in files of the usual sizes")
    .argument("<dataset>", "its folder, or owner/name on the Hugging Face hub")
    .option("--images", "store cameras as PNG in the data files; videos are decoded", false)
    .option("--videos", "store cameras as mp4; images are encoded", false);
  addEditOptions(command).action(async (source: string, options: ConvertCommandOptions) => {
    const { images, videos, out } = options;
    if (images && videos) {
      throw new InsulaError("cli/images-and-videos", "--images and --videos exclude each other; give one");
    }
    const result = await convertLeRobotDataset(await sourceFolder(source, io), out, {
      ...editOptions(options, io),
      storage: images ? "image" : videos ? "video" : "keep",
    });
    io.out(await summary(result));
  });
};
