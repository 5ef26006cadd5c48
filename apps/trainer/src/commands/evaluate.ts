/** @file `insula evaluate`: open-loop action errors of a checkpoint, in physical units. */
import { basename, join, resolve } from "node:path";
import { initParams, type ParamTree } from "@insula/ki-model";
import { InsulaError } from "@insula/model-types";
import type { Device, Runtime } from "@insula/ort-session";
import { readNormStats } from "@insula/transforms/node";
import { type Ablation, otherPrompts, withoutImages } from "../ablations.js";
import { assertDevice, makeBackend } from "../backend.js";
import { findCheckpoint, readCheckpointConfig, readParams } from "../checkpoint.js";
import { checkDataset } from "../data/checks.js";
import { openDataset } from "../data/open-dataset.js";
import { makePipeline } from "../data/pipeline.js";
import { robotSpec } from "../data/robots.js";
import { findData } from "../data/source.js";
import { splitEpisodes } from "../data/split.js";
import { loadTokenizers, tokenizerPaths } from "../data/tokenizers.js";
import { type EvaluateOptions, type EvaluateParts, evaluateMeanAction, evaluateParams } from "../evaluate.js";
import { table } from "../table.js";
import { type Install, type Io, positiveInt, wholeNumber } from "./command.js";
import { addDeviceOptions } from "./options.js";

interface EvaluateCommandOptions {
  checkpoint: string;
  dataset?: string;
  episodes?: string;
  untrained: boolean;
  ablations: boolean;
  denoiseSteps: number;
  stride?: number;
  seed?: number;
  device?: Device;
  runtime?: Runtime;
  threads?: number;
  json: boolean;
}

/** What `--json` prints. Errors are mean absolute ones, in the units of `dims`. */
export interface EvaluationReport {
  checkpoint: string;
  step: number;
  dataset: string;
  episodes: number[];
  chunks: number;
  actions: number;
  /** pi0_fast: chunks whose tokens did not decode. */
  notDecoded: number;
  dims: string[];
  trained: number[];
  /** A freshly initialised model of the same configuration. */
  untrained?: number[];
  /** The trained model with black cameras, and with another episode's instruction. */
  withoutImages?: number[];
  otherPrompts?: number[];
  /** Always the mean action of the training data. */
  meanAction: number[];
}

export const installEvaluate: Install = (program, io) => {
  addDeviceOptions(program.command("evaluate"))
    .description("compare sampled actions with held-out demonstrations, in physical units")
    .requiredOption("--checkpoint <dir>", "a run's folder or one of its checkpoints")
    .option("--dataset <dir>", "LeRobot dataset (default: the one of the run)")
    .option("--episodes <list>", "episode indices, for example 3,5,8 (default: the held-out ones)")
    .option(
      "--no-untrained",
      "leave out the column 'untrained': a freshly initialised model of the same configuration",
    )
    .option(
      "--ablations",
      "also with black cameras and with other instructions: what is not used adds no error",
      false,
    )
    .option("--denoise-steps <n>", "denoising steps per chunk", positiveInt, 10)
    .option("--stride <n>", "frames between chunks (default: the action horizon)", positiveInt)
    .option("--seed <n>", "seed of the noise (default: the run's)", wholeNumber)
    .option("--threads <n>", "threads of ONNX Runtime (default: one per core)", positiveInt)
    .option("--json", "print as JSON", false)
    .action(async (options: EvaluateCommandOptions) => {
      const report = await evaluateCheckpoint(options, io);
      io.out(options.json ? JSON.stringify(report, null, 2) : reportText(report));
    });
};

/** Open checkpoint and data, sample, compare. */
export async function evaluateCheckpoint(options: EvaluateCommandOptions, io: Io): Promise<EvaluationReport> {
  const checkpoint = await findCheckpoint(options.checkpoint);
  const saved = await readCheckpointConfig(checkpoint);
  const { device = "cpu", runtime = saved.runtime } = options;
  const backend = makeBackend({ device, runtime, cuda: saved.cuda });
  await assertDevice(backend);
  const tokenizerDir = join(checkpoint, "tokenizers");
  const source = await findData(saved, {
    tokenizers: tokenizerDir,
    log: io.err,
    ...(options.dataset === undefined ? {} : { dataset: options.dataset }),
  });
  const spec = robotSpec(saved.data.robot);
  const stats = await readNormStats(join(checkpoint, "assets", saved.data.assetId));
  const tokenizers = await loadTokenizers(tokenizerPaths(tokenizerDir), saved);
  const dataset = await openDataset(source.datasetDir, saved.data, spec, {
    cameras: [...spec.cameraColumns],
  });
  try {
    await checkDataset(dataset, saved.data.robot, spec);
    const known = dataset.episodes.map((e) => e.index);
    const episodes = options.episodes
      ? parseEpisodes(options.episodes, known)
      : splitEpisodes(dataset.episodes, saved.data.heldOut).heldOut;
    const pipeline = makePipeline({ config: saved, spec, stats, tokenizers, tasks: dataset.tasks });
    const parts = { config: saved, dataset, spec, pipeline, stats, episodes };
    const { stride, seed, threads } = options;
    const sampling = {
      numSteps: options.denoiseSteps,
      ...backend,
      ...(stride === undefined ? {} : { stride }),
      ...(seed === undefined ? {} : { seed }),
      ...(threads === undefined ? {} : { threads }),
    };
    const params = await readParams(checkpoint);
    const trained = await evaluateParams(parts, params, sampling);
    const untrained = options.untrained
      ? await evaluateParams(parts, initParams(saved.model, saved.seed), sampling)
      : undefined;
    const ablated = options.ablations ? await ablatedErrors(parts, params, sampling) : {};
    const meanAction = await evaluateMeanAction(parts, sampling);
    return {
      checkpoint,
      step: Number(basename(resolve(checkpoint))),
      dataset: dataset.root,
      episodes,
      chunks: trained.chunks,
      actions: trained.actions,
      notDecoded: trained.notDecoded,
      dims: [...spec.actionNames],
      trained: trained.perDim,
      ...(untrained ? { untrained: untrained.perDim } : {}),
      ...ablated,
      meanAction: meanAction.perDim,
    };
  } finally {
    await dataset.close();
  }
}

/** What the model's errors become when it cannot see, or is told something else. */
async function ablatedErrors(
  parts: EvaluateParts,
  params: ParamTree,
  sampling: EvaluateOptions,
): Promise<Pick<EvaluationReport, "withoutImages" | "otherPrompts">> {
  const errors = async (observe: Ablation) =>
    (await evaluateParams(parts, params, { ...sampling, observe })).perDim;
  return {
    withoutImages: await errors(withoutImages(parts.spec)),
    otherPrompts: await errors(await otherPrompts(parts.dataset, parts.episodes)),
  };
}

function reportText(report: EvaluationReport): string {
  const heads = {
    trained: "trained",
    untrained: "untrained",
    withoutImages: "no images",
    otherPrompts: "other prompts",
    meanAction: "mean action",
  } as const;
  const columns = Object.entries(heads).flatMap(([key, head]) => {
    const values = report[key as keyof typeof heads];
    return values ? [{ head, values }] : [];
  });
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const rows = report.dims.map((name, d) => [name, ...columns.map((c) => c.values[d]!.toFixed(4))]);
  rows.push(["all", ...columns.map((c) => mean(c.values).toFixed(4))]);
  return [
    `checkpoint  ${report.checkpoint}`,
    `episodes    ${report.episodes.join(", ")} of ${report.dataset}: ${report.chunks} chunks, ${report.actions} actions` +
      (report.notDecoded > 0 ? `, ${report.notDecoded} chunks did not decode` : ""),
    "",
    table(["mean absolute error", ...columns.map((c) => c.head)], rows),
  ].join("\n");
}

function parseEpisodes(text: string, known: readonly number[]): number[] {
  return text.split(",").map((part) => {
    const index = Number(part);
    if (part.trim() !== "" && known.includes(index)) return index;
    throw new InsulaError(
      "evaluate/episodes",
      `--episodes ${text}: '${part}' is not an episode of the dataset (there are ${known[0]} to ${known.at(-1)})`,
    );
  });
}
