/** @file `insula dataset plot`: one episode as an SVG file. */
import { writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { openLeRobotDataset, plotEpisode } from "@insula/lerobot-dataset";
import { InsulaError } from "@insula/model-types";
import { InvalidArgumentError } from "commander";
import { makeDir } from "../../make-dir.js";
import { positiveInt, wholeNumber } from "../command.js";
import { told } from "./hub-progress.js";
import type { InstallDataset } from "./install.js";

interface PlotCommandOptions {
  episode: number;
  out?: string;
  cameras?: string[];
  features?: string[];
  thumbnails: number;
  width: number;
  tolerance?: number;
  followLinks: boolean;
}

export const installPlot: InstallDataset = (dataset, io) => {
  dataset
    .command("plot")
    .description("draw an episode's joints, gripper and actions with pictures of its cameras, as SVG")
    .argument("<dataset>", "its folder, or owner/name on the Hugging Face hub")
    .option("--episode <n>", "which one", wholeNumber, 0)
    .option("--out <file>", "where to write it (default: episode_N.svg)")
    .option(
      "--cameras <names>",
      "cameras to show, separated by commas; 'none' for none (default: all)",
      names,
    )
    .option("--features <names>", "features to draw, separated by commas (default: all numbers)", names)
    .option("--thumbnails <n>", "pictures per camera, at most", positiveInt, 8)
    .option("--width <px>", "of the drawing", drawingWidth, 1100)
    .option("--tolerance <s>", "accept video frames that far off their timestamps (default: 1e-4)", seconds)
    .option("--follow-links", "follow symbolic links that lead out of the dataset", false)
    .action(async (source: string, options: PlotCommandOptions) => {
      const { episode, cameras, features, thumbnails, width, tolerance, followLinks } = options;
      const opened = await openLeRobotDataset(source, {
        followLinks,
        ...(cameras && { cameras }),
        ...(tolerance !== undefined && { toleranceS: tolerance }),
        hub: { onProgress: told(io), episodes: [episode] },
      });
      try {
        const unknown = features?.find((name) => !(name in opened.features));
        if (unknown !== undefined) {
          const known = Object.keys(opened.features).join(", ");
          throw new InsulaError("cli/feature", `--features: '${unknown}' is not in this dataset (${known})`);
        }
        const svg = await plotEpisode(opened, { episode, thumbnails, width, ...(features && { features }) });
        const path = resolve(options.out ?? `episode_${episode}.svg`);
        await write(path, svg);
        io.out(path);
      } finally {
        await opened.close();
      }
    });
};

async function write(path: string, text: string): Promise<void> {
  try {
    await makeDir(dirname(path));
    await writeFile(path, text);
  } catch (cause) {
    throw new InsulaError(
      "cli/unwritable",
      `--out ${path}: cannot write there (${(cause as Error).message})`,
      { cause },
    );
  }
}

function names(text: string): string[] {
  return text === "none" ? [] : text.split(",").map((name) => name.trim());
}

function drawingWidth(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 480 && value <= 10_000) return value;
  throw new InvalidArgumentError("Expected a whole number from 480 to 10000.");
}

function seconds(text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError("Expected seconds.");
}
