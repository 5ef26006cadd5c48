/** @file `insula train`: from a configuration to checkpoints, in an order in which mistakes show early. */
import { constants } from "node:os";
import { join } from "node:path";
import { createTrainSession, writeArtifact } from "@insula/ki-model";
import { configModelType } from "@insula/model-types";
import { Option } from "commander";
import { buildRunArtifact } from "../artifact.js";
import type { RunConfig } from "../configs/types.js";
import { robotSpec } from "../data/robots.js";
import { findData } from "../data/source.js";
import { openTrainData } from "../data/train-data.js";
import { assertFits, makePlan, planLines } from "../plan.js";
import { openRunDir } from "../run-dir.js";
import { openLog } from "../run-log.js";
import { type TrainResult, train } from "../train.js";
import { initialParams } from "../weights.js";
import { type Install, type Io, positiveInt } from "./command.js";
import { addConfigOptions, type ConfigOptions, configFrom } from "./options.js";

export interface TrainCommandOptions extends ConfigOptions {
  expName: string;
  logDir?: string;
  resume: boolean;
  overwrite: boolean;
  device: "cpu" | "cuda";
  threads?: number;
  tokenizers?: string;
  strict: boolean;
  planOnly: boolean;
}

export const installTrain: Install = (program, io) => {
  addConfigOptions(program.command("train"))
    .description("train a configuration; alone: pi05_droid_ki, tiny, on the embedded data, 200 steps")
    .option("--exp-name <name>", "names the run's folder", "default")
    .option("--log-dir <dir>", "the run's folder (default: runs/<config>/<exp-name>)")
    .option("--resume", "continue the run in that folder", false)
    .option("--overwrite", "delete the run in that folder first", false)
    .addOption(new Option("--device <device>", "where to compute").choices(["cpu", "cuda"]).default("cpu"))
    .option("--threads <n>", "threads of ONNX Runtime (default: one per core)", positiveInt)
    .option("--tokenizers <dir>", "folder with text/ and fast/ tokenizers (default: embedded)")
    .option("--strict", "refuse samples whose tokens do not fit instead of cutting them", false)
    .option("--plan-only", "print the plan and stop", false)
    .action(async (argument: string | undefined, options: TrainCommandOptions) => {
      const config = configFrom(argument, options);
      const controller = new AbortController();
      const release = onSignals(controller, io);
      try {
        const result = await runTraining(config, options, io, controller.signal);
        if (result?.interrupted) io.exitCode = release.exitCode();
      } finally {
        release();
      }
    });
};

/** Open everything and train; undefined when only the plan was asked for. */
export async function runTraining(
  config: RunConfig,
  options: TrainCommandOptions,
  io: Io,
  signal: AbortSignal,
): Promise<TrainResult | undefined> {
  const { resume, overwrite, device, threads, strict, tokenizers } = options;
  const dir = options.logDir ?? join("runs", config.name, options.expName);
  const run = await openRunDir(dir, { resume, overwrite });
  const log = openLog(join(run.dir, "train.log"), io.out);
  try {
    if (run.note) log.line(run.note);
    log.line(
      `run         ${config.name} (${configModelType(config.model)}, size ${config.size}) in ${run.dir}`,
    );
    const modelType = configModelType(config.model);
    const imageKeys = robotSpec(config.data.robot).cameras(modelType);
    const planned = makePlan(config, imageKeys.length);
    if (options.planOnly) for (const line of planLines(planned, config)) log.line(line);
    // Before any data are opened: a model that cannot fit needs none.
    assertFits(planned, config);
    if (options.planOnly) return undefined;
    const source = await findData(config, {
      log: log.line,
      ...(tokenizers === undefined ? {} : { tokenizers }),
    });
    const data = await openTrainData(config, {
      source,
      runDir: run.dir,
      resume: run.resumeStep !== undefined,
      strict,
      log: log.line,
    });
    try {
      const plan = makePlan(data.config, imageKeys.length);
      for (const line of planLines(plan, data.config)) log.line(line);
      assertFits(plan, data.config);
      const artifact = buildRunArtifact(data.config);
      await writeArtifact(artifact, join(run.dir, "artifact"));
      log.line(`artifact    ${artifact.manifest.artifactHash} in ${join(run.dir, "artifact")}`);
      const session = await createTrainSession({
        artifact,
        params: await initialParams(data.config),
        device,
        ...(threads === undefined ? {} : { threads }),
      });
      try {
        const parts = { config: data.config, session, openBatches: data.openBatches, files: data.files };
        return await train(parts, { run, log: log.line, signal });
      } finally {
        await session.release();
        const cut = data.pipeline.truncated();
        if (cut > 0) {
          log.line(
            `warning: ${cut} samples had more tokens than maxTokenLen ${config.model.maxTokenLen} and were cut`,
          );
        }
      }
    } finally {
      await data.close();
    }
  } finally {
    log.close();
  }
}

/** First signal: finish the step and save. Second: leave at once. */
function onSignals(controller: AbortController, io: Io): { (): void; exitCode(): number } {
  let code = 0;
  const handler = (signal: NodeJS.Signals) => {
    const exit = 128 + constants.signals[signal];
    if (code !== 0) process.exit(exit);
    code = exit;
    io.err(`${signal}: finishing this step and saving; once more leaves at once`);
    controller.abort();
  };
  const signals: NodeJS.Signals[] = ["SIGINT", "SIGTERM"];
  for (const signal of signals) process.on(signal, handler);
  const release = () => {
    for (const signal of signals) process.off(signal, handler);
  };
  return Object.assign(release, { exitCode: () => code });
}
