/** @file `insula norm-stats`: compute and keep the normalisation statistics of a dataset. */
import { join } from "node:path";
import type { ScanEngine } from "@insula/lerobot-dataset";
import { InsulaError } from "@insula/model-types";
import { findDegenerate, type NormStatsMap } from "@insula/transforms";
import { writeNormStats } from "@insula/transforms/node";
import { Option } from "commander";
import type { RunConfig } from "../configs/types.js";
import { isAddress } from "../data/assets-dir.js";
import { checkLayout } from "../data/checks.js";
import { closeMembers, countedFrames, type Member, memberStats, openMembers } from "../data/members.js";
import type { RobotSpec } from "../data/robots.js";
import { findDatasets } from "../data/source.js";
import { upstreamNormStats } from "../data/stats/upstream.js";
import { assertWritable } from "../run-dir.js";
import { table } from "../table.js";
import type { Install, Io } from "./command.js";
import { addConfigOptions, type ConfigOptions, configFrom } from "./options.js";

interface Options extends ConfigOptions {
  out?: string;
  upstream: boolean;
  engine?: ScanEngine;
}

export const installNormStats: Install = (program, io) => {
  addConfigOptions(program.command("norm-stats"))
    .description("statistics of a dataset's states and actions, without decoding an image")
    .option(
      "--out <dir>",
      "written to <dir>/<assetId>/norm_stats.json (default: the config's data.assetsDir where that is a folder, else assets)",
    )
    .option("--upstream", "count as openpi's script does: whole chunks, in batches of --batch-size", false)
    .addOption(
      new Option("--engine <name>", "what reads the data files (default: duckdb for large sets)").choices([
        "duckdb",
        "hyparquet",
      ]),
    )
    .action(async (argument: string | undefined, options: Options) => {
      const config = await configFrom(argument, options);
      const { assetId, assetsDir } = config.data;
      const out = options.out ?? (assetsDir && !isAddress(assetsDir) ? assetsDir : "assets");
      await assertWritable(out, "--out");
      const { dirs } = await findDatasets(config, { log: io.err });
      // Numbers are checked while they are counted.
      const members = await openMembers(config, dirs, { check: false, numbersOnly: true });
      try {
        for (const { dataset, robot, spec } of members) await checkLayout(dataset, robot, spec);
        const { stats, warnings } = options.upstream
          ? await upstreamStats(config, members, options.engine)
          : await memberStats(config, members, options.engine);
        print(io, stats, members[0]!.spec);
        for (const message of warnings) io.err(`warning: ${message}`);
        const path = await writeNormStats(join(out, assetId), stats);
        for (const { dataset, frames } of members) {
          const { kept, episodes } = frames.report;
          io.out(`${episodes.kept} episodes, ${kept} frames of ${dataset.root}`);
        }
        io.out(`written to ${path}`);
        if (assetsDir !== out) io.out(`train with them: --set data.assetsDir=${out}`);
      } finally {
        await closeMembers(members);
      }
    });
};

/** As openpi's script counts, which knows one dataset. */
async function upstreamStats(
  config: RunConfig,
  members: readonly Member[],
  engine?: ScanEngine,
): Promise<{ stats: NormStatsMap; warnings: string[] }> {
  if (members.length > 1) {
    throw new InsulaError(
      "norm-stats/upstream",
      "--upstream: openpi's script counts one dataset, not a mixture",
    );
  }
  const { dataset, robot, spec } = members[0]!;
  const stats = await upstreamNormStats(dataset, {
    ...countedFrames(members[0]!),
    robot,
    spec,
    batchSize: config.batchSize,
    deltaActions: config.data.deltaActions,
    actionHorizon: config.model.actionHorizon,
    ...(engine && { engine }),
  });
  return { stats, warnings: findDegenerate(stats).map(({ message }) => message) };
}

/** One table per key. */
function print(io: Io, stats: NormStatsMap, spec: RobotSpec): void {
  const number = (v: number | undefined) => (v === undefined ? "" : v.toFixed(5));
  for (const [key, s] of Object.entries(stats)) {
    const rows = Array.from(s.mean, (mean, d) => [
      key === "actions" ? (spec.actionNames[d] ?? `actions[${d}]`) : `${key}[${d}]`,
      ...[mean, s.std[d], s.q01?.[d], s.q99?.[d]].map(number),
    ]);
    io.out(`${table([key, "mean", "std", "q01", "q99"], rows)}\n`);
  }
}
