/** @file `insula norm-stats`: compute and keep the normalisation statistics of a dataset. */
import { join } from "node:path";
import { openLeRobotDataset } from "@insula/lerobot-dataset";
import { findDegenerate } from "@insula/transforms";
import { writeNormStats } from "@insula/transforms/node";
import { checkDataset } from "../data/checks.js";
import { datasetNormStats } from "../data/norm-stats.js";
import { robotSpec } from "../data/robots.js";
import { findDataset } from "../data/source.js";
import { splitEpisodes } from "../data/split.js";
import { assertWritable } from "../run-dir.js";
import { table } from "../table.js";
import type { Install } from "./command.js";
import { addConfigOptions, type ConfigOptions, configFrom } from "./options.js";

export const installNormStats: Install = (program, io) => {
  addConfigOptions(program.command("norm-stats"))
    .description("statistics of a dataset's states and actions, without decoding an image")
    .option("--out <dir>", "written to <dir>/<assetId>/norm_stats.json", "assets")
    .option("--upstream", "count rows as openpi does: every frame's whole action chunk", false)
    .action(
      async (argument: string | undefined, options: ConfigOptions & { out: string; upstream: boolean }) => {
        const config = await configFrom(argument, options);
        const { robot, heldOut, assetId, deltaActions } = config.data;
        const spec = robotSpec(robot);
        const { dir } = await findDataset(config, { log: io.err });
        const dataset = await openLeRobotDataset(dir, { cameras: [] });
        try {
          await checkDataset(dataset, robot, spec);
          const { train } = splitEpisodes(dataset.episodes, heldOut);
          const { actionHorizon } = config.model;
          const episodes = new Set(train);
          const stats = await datasetNormStats(dataset, {
            robot,
            spec,
            actionHorizon,
            deltaActions,
            episodes,
            upstream: options.upstream,
          });
          const number = (v: number | undefined) => (v === undefined ? "" : v.toFixed(5));
          for (const [key, s] of Object.entries(stats)) {
            const rows = Array.from(s.mean, (mean, d) => [
              key === "actions" ? (spec.actionNames[d] ?? `actions[${d}]`) : `${key}[${d}]`,
              ...[mean, s.std[d], s.q01?.[d], s.q99?.[d]].map(number),
            ]);
            io.out(`${table([key, "mean", "std", "q01", "q99"], rows)}\n`);
          }
          for (const { message } of findDegenerate(stats)) io.err(`warning: ${message}`);
          await assertWritable(options.out, "--out");
          const path = await writeNormStats(join(options.out, assetId), stats);
          io.out(`${train.length} episodes of ${dir}: written to ${path}`);
        } finally {
          await dataset.close();
        }
      },
    );
};
