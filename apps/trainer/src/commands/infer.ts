/** @file `insula infer`: the actions that a checkpoint answers to one observation. */
import { openLeRobotDataset } from "@insula/lerobot-dataset";
import { InsulaError, type NdArray, type Sample } from "@insula/model-types";
import type { Device, Runtime } from "@insula/ort-session";
import type { PolicyTiming } from "@insula/policy";
import { assertDevice, makeBackend } from "../backend.js";
import { findCheckpoint, readCheckpointConfig } from "../checkpoint.js";
import { checkDataset } from "../data/checks.js";
import { robotSpec } from "../data/robots.js";
import { findDataset } from "../data/source.js";
import { type LoadPolicyOptions, loadPolicy } from "../infer/load-policy.js";
import { readObservation } from "../infer/observation-file.js";
import { table } from "../table.js";
import { type Install, type Io, positiveInt, wholeNumber } from "./command.js";
import { addDeviceOptions } from "./options.js";

interface InferCommandOptions {
  checkpoint: string;
  dataset?: string;
  episode?: number;
  frame: number;
  observation?: string;
  prompt?: string;
  denoiseSteps: number;
  seed?: number;
  device?: Device;
  runtime?: Runtime;
  threads?: number;
  json: boolean;
}

/** What `--json` prints. */
export interface InferReport {
  checkpoint: string;
  prompt?: string;
  dims: string[];
  /** `[horizon][dim]`, in the robot's units. */
  actions: number[][];
  policy_timing: PolicyTiming;
  /** What the demonstrator did from that frame on; shorter at an episode's end, absent for `--observation`. */
  recorded?: number[][];
}

export const installInfer: Install = (program, io) => {
  addDeviceOptions(program.command("infer"))
    .description("the actions that a checkpoint answers to one observation")
    .requiredOption("--checkpoint <dir>", "a run's folder or one of its checkpoints")
    .option("--dataset <dir>", "LeRobot dataset to take a frame of (default: the one of the run)")
    .option("--episode <n>", "episode index (default: the first)", wholeNumber)
    .option("--frame <n>", "frame of the episode, from 0", wholeNumber, 0)
    .option("--observation <file>", "an observation as JSON, instead of a dataset's")
    .option("--prompt <text>", "the instruction, when the observation has none")
    .option("--denoise-steps <n>", "denoising steps", positiveInt, 10)
    .option("--seed <n>", "seed of the noise (default: the run's)", wholeNumber)
    .option("--threads <n>", "threads of ONNX Runtime (default: one per core)", positiveInt)
    .option("--json", "print as JSON", false)
    .action(async (options: InferCommandOptions) => {
      const report = await inferOnce(options, io);
      io.out(options.json ? JSON.stringify(report, null, 2) : reportText(report));
    });
};

/** Open checkpoint and observation, infer. */
export async function inferOnce(options: InferCommandOptions, io: Io): Promise<InferReport> {
  const { observation, dataset, episode } = options;
  if (observation !== undefined && (dataset !== undefined || episode !== undefined)) {
    throw new InsulaError("infer/source", "--observation excludes --dataset and --episode; give one source");
  }
  const config = await readCheckpointConfig(await findCheckpoint(options.checkpoint));
  const { device = "cpu", runtime = config.runtime, seed, threads, prompt } = options;
  const backend = makeBackend({ device, runtime, cuda: config.cuda });
  await assertDevice(backend);
  const load: LoadPolicyOptions = {
    checkpoint: options.checkpoint,
    backend,
    numSteps: options.denoiseSteps,
    ...(seed === undefined ? {} : { seed }),
    ...(threads === undefined ? {} : { threads }),
    ...(prompt === undefined ? {} : { defaultPrompt: prompt }),
  };
  if (observation === undefined) return fromDataset(options, load, io);
  const seen = await readObservation(observation);
  const loaded = await loadPolicy(load);
  try {
    return report(loaded, await loaded.policy.infer(seen), seen["prompt"] ?? prompt);
  } finally {
    await loaded.policy.release();
  }
}

async function fromDataset(
  options: InferCommandOptions,
  load: LoadPolicyOptions,
  io: Io,
): Promise<InferReport> {
  const config = await readCheckpointConfig(await findCheckpoint(options.checkpoint));
  const spec = robotSpec(config.data.robot);
  const wanted = options.dataset === undefined ? {} : { dataset: options.dataset };
  const { dir } = await findDataset(config, { ...wanted, log: io.err });
  const dataset = await openLeRobotDataset(dir, { cameras: [...spec.cameraColumns] });
  try {
    await checkDataset(dataset, config.data.robot, spec);
    const episode =
      options.episode === undefined
        ? dataset.episodes[0]
        : dataset.episodes.find((e) => e.index === options.episode);
    if (!episode) {
      const known = `${dataset.episodes[0]?.index} to ${dataset.episodes.at(-1)?.index}`;
      throw new InsulaError("infer/episode", `--episode ${options.episode}: ${dir} has ${known}`);
    }
    const frames = episode.to - episode.from;
    if (options.frame < 0 || options.frame >= frames) {
      throw new InsulaError(
        "infer/frame",
        `--frame ${options.frame}: episode ${episode.index} has frames 0 to ${frames - 1}`,
      );
    }
    const sample = await dataset.sample(episode.from + options.frame, {
      actionHorizon: config.model.actionHorizon,
      actionKeys: [spec.actionKey],
    });
    const loaded = await loadPolicy({ ...load, tasks: dataset.tasks });
    try {
      const { actions, actions_is_pad, ...seen } = loaded.repack(sample);
      const result = await loaded.policy.infer(seen);
      const pad = Array.from((actions_is_pad as NdArray | undefined)?.data ?? [], Boolean);
      const recorded = rows(actions as NdArray).filter((_, t) => !pad[t]);
      return { ...report(loaded, result, seen["prompt"]), recorded };
    } finally {
      await loaded.policy.release();
    }
  } finally {
    await dataset.close();
  }
}

function report(
  { checkpoint, spec }: { checkpoint: string; spec: { actionNames: readonly string[] } },
  result: Sample,
  prompt: unknown,
): InferReport {
  return {
    checkpoint,
    ...(typeof prompt === "string" ? { prompt } : {}),
    dims: [...spec.actionNames],
    actions: rows(result["actions"] as NdArray),
    policy_timing: result["policy_timing"] as unknown as PolicyTiming,
  };
}

const rows = ({ data, shape }: NdArray): number[][] =>
  Array.from({ length: shape[0]! }, (_, t) =>
    Array.from({ length: shape[1]! }, (_, d) => Number(data[t * shape[1]! + d])),
  );

function reportText({ checkpoint, prompt, dims, actions, policy_timing, recorded }: InferReport): string {
  const cells = actions.map((row, t) => [String(t), ...row.map((v) => v.toFixed(4))]);
  return [
    `checkpoint  ${checkpoint}`,
    ...(prompt === undefined ? [] : [`prompt      ${prompt}`]),
    `model       ${policy_timing.infer_ms.toFixed(1)} ms`,
    ...(recorded
      ? [`error       ${meanError(actions, recorded).toFixed(4)} (mean absolute, to what was recorded)`]
      : []),
    "",
    table(["step", ...dims], cells),
  ].join("\n");
}

function meanError(actions: readonly number[][], recorded: readonly number[][]): number {
  const errors = recorded.flatMap((row, t) => row.map((v, d) => Math.abs(v - actions[t]![d]!)));
  return errors.reduce((a, b) => a + b, 0) / errors.length;
}
