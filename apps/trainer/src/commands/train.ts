/** @file `insula train`: from a configuration to checkpoints, in an order in which mistakes show early. */
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createTrainSession, writeArtifact } from "@insula/ki-model";
import { configModelType } from "@insula/model-types";
import { writeNormStats } from "@insula/transforms/node";
import { buildRunArtifact } from "../artifact.js";
import { assertComputes, assertDevice, makeBackend, modelCacheDir } from "../backend.js";
import { readCheckpointConfig } from "../checkpoint.js";
import { assertSameRun } from "../configs/same-run.js";
import type { RunConfig } from "../configs/types.js";
import { robotSpec } from "../data/robots.js";
import { findData } from "../data/source.js";
import { type OpenTrainDataOptions, openTrainData, type TrainData } from "../data/train-data.js";
import { assertFits, availableMemory, deviceMemory, longestText, makePlan, planLines } from "../plan.js";
import { checkRunDir, openRunDir, type RunDir } from "../run-dir.js";
import { openLog, type RunLog } from "../run-log.js";
import { makeDiagnosis } from "../train/diagnose.js";
import { watchSignals } from "../train/signals.js";
import { openWatch, type Watch } from "../train/watch.js";
import { type TrainResult, train } from "../train.js";
import { initialParams } from "../weights.js";
import { folderName, type Install, type Io, positiveInt } from "./command.js";
import { addConfigOptions, addDeviceOptions, type ConfigOptions, configFrom } from "./options.js";

export interface TrainCommandOptions extends ConfigOptions {
  expName: string;
  logDir?: string;
  checkpointBaseDir?: string;
  graceSeconds: number;
  resume: boolean;
  overwrite: boolean;
  threads?: number;
  tokenizers?: string;
  strict: boolean;
  planOnly: boolean;
  cache: boolean;
}

export const installTrain: Install = (program, io) => {
  addDeviceOptions(addConfigOptions(program.command("train")))
    .description("train a configuration; alone: pi05_droid_ki, tiny, on the embedded data, 200 steps")
    .option("--exp-name <name>", "names the run's folder", folderName, "default")
    .option("--log-dir <dir>", "the run's folder (default: runs/<config>/<exp-name>)")
    .option("--checkpoint-base-dir <dir>", "checkpoints go to <dir>/<config>/<exp-name>/<step>")
    .option(
      "--grace-seconds <n>",
      "from SIGTERM or SIGINT to the exit, for a step and its checkpoint",
      positiveInt,
      30,
    )
    .option("--resume", "continue the run in that folder", false)
    .option("--overwrite", "delete the run in that folder first", false)
    .option("--threads <n>", "threads of ONNX Runtime (default: one per core)", positiveInt)
    .option("--tokenizers <dir>", "folder with text/ and fast/ (or fsq/) tokenizers (default: embedded)")
    .option("--strict", "refuse samples whose tokens do not fit instead of cutting them", false)
    .option("--plan-only", "print the plan and stop (also --dry-run)", false)
    .option("--no-cache", "keep optimised graphs in the run's folder, not in the user's cache folder")
    .action(async (argument: string | undefined, options: TrainCommandOptions) => {
      const { checkpointBaseDir = null, ...given } = await configFrom(argument, options);
      const config = { ...given, checkpointBaseDir: options.checkpointBaseDir ?? checkpointBaseDir };
      const watch = watchSignals({ graceSeconds: options.graceSeconds, log: io.err, live: io.live });
      try {
        const result = await runTraining(config, options, io, watch.signal);
        if (result?.interrupted) io.exitCode = watch.exitCode();
      } catch (error) {
        // Whoever sent the signal is to see that it was heard, even when the last save failed.
        if (watch.exitCode() !== 0) io.exitCode = watch.exitCode();
        throw error;
      } finally {
        watch.release();
      }
    });
};

/**
 * Open everything and train; undefined when only the plan was asked for. The run's folder is touched only when
 * nothing is left that could refuse the run: no check that fails costs an earlier run anything.
 */
export async function runTraining(
  config: RunConfig,
  options: TrainCommandOptions,
  io: Io,
  signal: AbortSignal,
): Promise<TrainResult | undefined> {
  const { resume, overwrite, threads, strict, tokenizers } = options;
  const dir = resolve(options.logDir ?? join("runs", config.name, options.expName));
  const place = {
    resume,
    overwrite,
    ...(config.checkpointBaseDir === null
      ? {}
      : { checkpointDir: resolve(config.checkpointBaseDir, config.name, options.expName) }),
  };
  const modelType = configModelType(config.model);
  const title = `run         ${config.name} (${modelType}, size ${config.size}) in ${dir}`;
  const cameras = robotSpec(config.data.robot).cameras(modelType).length;
  /** Of the GPU, where the model will lie on one and its memory is known. */
  const room = () => deviceMemory(config.device) ?? availableMemory();
  const planned = makePlan(config, cameras, room());
  if (options.planOnly) {
    for (const line of [title, ...planLines(planned, config, room())]) io.out(line);
    assertFits(planned, config, room());
    return undefined;
  }
  assertComputes(config);
  const backend = makeBackend(config);
  await assertDevice(backend);
  const checked = await checkRunDir(dir, place);
  const log = lateLog(io.out);
  try {
    if (checked.note) log.line(checked.note);
    log.line(title);
    // Before any data are opened: a model that cannot fit needs none.
    assertFits(planned, config, room());
    const saved =
      checked.resumeStep === undefined
        ? undefined
        : await readCheckpointConfig(
            join(place.checkpointDir ?? join(dir, "checkpoints"), String(checked.resumeStep)),
          );
    // The vocabulary is known only with the tokenizers.
    if (saved) assertSameRun(saved, withVocabSize(config, saved.model.vocabSize));
    const source = await findData(config, {
      log: log.line,
      ...(tokenizers === undefined ? {} : { tokenizers }),
    });
    const data = await openStaged(config, checked, { source, strict, log: log.line });
    try {
      const plan = makePlan(data.config, cameras, room(), await longestText(data));
      for (const line of planLines(plan, data.config, room())) log.line(line);
      assertFits(plan, data.config, room());
      if (saved) assertSameRun(saved, data.config);
      const artifact = buildRunArtifact({ ...data.config, rematerialize: plan.rematerialize });
      const params = await initialParams(data.config);

      const run = await openRunDir(dir, place, checked);
      log.open(join(dir, "train.log"));
      await writeNormStats(join(dir, "assets", config.data.assetId), data.stats);
      await writeArtifact(artifact, join(dir, "artifact"));
      log.line(`artifact    ${artifact.manifest.artifactHash} in ${join(dir, "artifact")}`);
      const execution = {
        ...backend,
        ...(threads === undefined ? {} : { threads }),
        cacheDir: options.cache ? modelCacheDir() : join(dir, "graphs"),
      };
      const session = await createTrainSession({ artifact, params, ...execution });
      let watch: Watch | undefined;
      try {
        watch = await openWatch({
          data,
          session,
          artifact,
          execution,
          run,
          log: log.line,
          signal,
          live: io.live,
        });
        const { openBatches, files } = data;
        const diagnose = makeDiagnosis({ artifact, session, execution });
        const parts = {
          config: data.config,
          session,
          openBatches,
          files,
          hooks: watch.hooks,
          activity: watch.activity,
          diagnose,
          planned: plan.model.bytes.total,
        };
        return await train(parts, { run, log: log.line, signal });
      } finally {
        await watch?.release();
        await session.release();
        for (const line of data.warnings()) log.line(line);
      }
    } finally {
      await data.close();
    }
  } finally {
    log.close();
  }
}

/**
 * The data of a run whose folder is not to be touched yet. Opening data writes statistics: into the run's folder
 * when they are already there to be continued with, else into one that is gone afterwards.
 */
async function openStaged(
  config: RunConfig,
  { dir, resumeStep }: RunDir,
  options: Omit<OpenTrainDataOptions, "runDir" | "resume">,
): Promise<TrainData> {
  const { assetId, assetsDir } = config.data;
  const kept = existsSync(join(dir, "assets", assetId, "norm_stats.json"));
  if (resumeStep !== undefined && !assetsDir && kept) {
    return openTrainData(config, { ...options, runDir: dir, resume: true });
  }
  const stage = await mkdtemp(join(tmpdir(), "insula-stage-"));
  try {
    return await openTrainData(config, { ...options, runDir: stage });
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

const withVocabSize = (config: RunConfig, vocabSize: number): RunConfig => ({
  ...config,
  model: { ...config.model, vocabSize },
});

/** A log whose file may come later: lines are shown at once and written when it is opened. */
function lateLog(echo: (line: string) => void): RunLog & { open(path: string): void } {
  const early: string[] = [];
  let file: RunLog | undefined;
  return {
    line(text) {
      echo(text);
      if (file) file.line(text);
      else early.push(text);
    },
    open(path) {
      file = openLog(path, () => undefined);
      for (const text of early) file.line(text);
    },
    close: () => file?.close(),
  };
}
