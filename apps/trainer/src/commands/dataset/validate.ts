/** @file `insula dataset validate`: every problem of a dataset, with file, episode and row; exit code 1 if any. */
import { type Problem, problemLine, validateLeRobotDataset } from "@insula/lerobot-dataset";
import { InvalidArgumentError } from "commander";
import { positiveInt } from "../command.js";
import { told } from "./hub-progress.js";
import type { InstallDataset } from "./install.js";

interface ValidateCommandOptions {
  videos: boolean;
  limit: number;
  jump: number;
  followLinks: boolean;
  json: boolean;
}

export const installValidate: InstallDataset = (dataset, io) => {
  dataset
    .command("validate")
    .description("list every problem with file, episode and row; exit code 1 if there is any")
    .argument("<dataset>", "its folder, or owner/name on the Hugging Face hub")
    .option("--videos", "decode every frame and image, too", false)
    .option("--limit <n>", "problems to list; the rest are counted", positiveInt, 100)
    .option(
      "--jump <k>",
      "robust deviations beyond which an action step is a jump; 0: none is",
      deviations,
      30,
    )
    .option("--follow-links", "follow symbolic links that lead out of the dataset", false)
    .option("--json", "a JSON object per problem, then one with the counts", false)
    .action(async (source: string, { videos, limit, jump, followLinks, json }: ValidateCommandOptions) => {
      const counts = new Map<string, number>();
      let total = 0;
      const hub = { onProgress: told(io) };
      const problems = validateLeRobotDataset(source, {
        decode: videos,
        jumpDeviations: jump,
        followLinks,
        hub,
      });
      for await (const problem of problems) {
        counts.set(problem.code, (counts.get(problem.code) ?? 0) + 1);
        if (++total <= limit) io.out(json ? JSON.stringify(problem satisfies Problem) : problemLine(problem));
      }
      const sorted = [...counts].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
      if (json) io.out(JSON.stringify({ problems: total, counts: Object.fromEntries(sorted) }));
      else {
        if (total > limit) io.out(`… and ${total - limit} more (--limit ${total} lists them)`);
        const kinds = sorted.map(([code, count]) => `${count} ${code}`).join(", ");
        io.out(total === 0 ? "no problems" : `${total} problem${total === 1 ? "" : "s"}: ${kinds}`);
      }
      if (total > 0) io.exitCode = 1;
    });
};

function deviations(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= 0) return value;
  throw new InvalidArgumentError("Expected a number from 0.");
}
