/** @file `insula dataset split`: some episodes of a dataset, or a dataset in parts. */
import {
  byFraction,
  byTask,
  type EpisodesOf,
  extractEpisodes,
  ofTasks,
  type Parts,
  splitLeRobotDataset,
} from "@insula/lerobot-dataset";
import { InsulaError } from "@insula/model-types";
import { InvalidArgumentError } from "commander";
import { collect, wholeNumber } from "../command.js";
import {
  addEditOptions,
  type EditCommandOptions,
  editOptions,
  sourceFolder,
  summary,
} from "./edit-options.js";
import type { InstallDataset } from "./install.js";

interface SplitCommandOptions extends EditCommandOptions {
  episodes?: number[];
  task?: string[];
  fractions?: Record<string, number>;
  byTask: boolean;
  seed: number;
}

export const installSplit: InstallDataset = (dataset, io) => {
  const command = dataset
    .command("split")
    .description("write some episodes as a dataset of their own, or all in parts")
    .argument("<dataset>", "its folder, or owner/name on the Hugging Face hub")
    .option("--episodes <list>", "these episodes, in this order: 0-9,12", episodeList)
    .option("--task <text>", "the episodes of this task (repeatable)", collect)
    .option("--fractions <list>", "parts at random, each in its folder: train=0.9,val=0.1", fractionList)
    .option("--seed <n>", "seed of --fractions", wholeNumber, 0)
    .option("--by-task", "one part per task, each in its folder", false);
  addEditOptions(command).action(async (source: string, options: SplitCommandOptions) => {
    const how = chosen(options);
    const [dir, edit] = [await sourceFolder(source, io), editOptions(options, io)];
    if ("episodes" in how) {
      io.out(await summary(await extractEpisodes(dir, options.out, how.episodes, edit)));
      return;
    }
    const parts = await splitLeRobotDataset(dir, options.out, how.parts, edit);
    for (const [name, result] of Object.entries(parts)) io.out(`${name}: ${await summary(result)}`);
  });
};

/** @throws InsulaError `cli/split` unless exactly one way to choose is given. */
function chosen(options: SplitCommandOptions): { episodes: EpisodesOf } | { parts: Parts } {
  const { episodes, task, fractions, seed } = options;
  const ways = [
    episodes && { episodes },
    task && { episodes: ofTasks(task) },
    fractions && { parts: byFraction(fractions, seed) },
    options.byTask && { parts: byTask },
  ].filter((way) => way !== undefined && way !== false);
  if (ways.length === 1) return ways[0]!;
  throw new InsulaError(
    "cli/split",
    `give one of --episodes, --task, --fractions and --by-task; found ${ways.length === 0 ? "none" : ways.length}`,
  );
}

function episodeList(text: string): number[] {
  return text.split(",").flatMap((item) => {
    const match = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(item);
    const [first, last] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])];
    if (!match || last < first || last - first > 1e7)
      throw new InvalidArgumentError("Expected episodes such as 0-9,12.");
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

function fractionList(text: string): Record<string, number> {
  const entries = text.split(",").map((item) => {
    const match = /^\s*([^=\s]+)\s*=\s*(\S+)\s*$/.exec(item);
    const fraction = Number(match?.[2]);
    if (!match || Number.isNaN(fraction))
      throw new InvalidArgumentError("Expected parts such as train=0.9,val=0.1.");
    return [match[1]!, fraction] as const;
  });
  if (new Set(entries.map(([name]) => name)).size < entries.length)
    throw new InvalidArgumentError("A part is named twice.");
  return Object.fromEntries(entries);
}
