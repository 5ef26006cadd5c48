/** @file From command-line options to a resolved configuration: shared by the commands that name one. */
import { resolve } from "node:path";
import { isDatasetRepo } from "@insula/lerobot-dataset";
import { InsulaError, MODEL_SIZES, type ModelSize } from "@insula/model-types";
import type { Device, Runtime } from "@insula/ort-session";
import { type Command, InvalidArgumentError, Option } from "commander";
import { isConfigFile, type LoadedConfig, loadConfig } from "../configs/file.js";
import { mergeOverrides, type Overrides, parseOverrides } from "../configs/overrides.js";
import { DEFAULT_CONFIG } from "../configs/registry.js";
import { type Resolution, resolveConfig } from "../configs/resolve.js";
import { isDevice } from "../configs/schema.js";
import type { RunConfig } from "../configs/types.js";
import { collect, configName, positiveInt, wholeNumber } from "./command.js";

/** Steps of a run on the embedded sample data when none are asked for. */
const SAMPLE_RUN_STEPS = 200;

export interface ConfigOptions {
  config?: string;
  size?: ModelSize;
  batchSize?: number;
  numTrainSteps?: number;
  seed?: number;
  weights?: string;
  dataset?: string;
  device?: Device;
  runtime?: Runtime;
  set: string[];
}

/** Add `--device` and `--runtime`. */
export function addDeviceOptions(command: Command): Command {
  return command
    .option("--device <device>", "where to compute: cpu (default), cuda or cuda:<number>", parseDeviceOption)
    .addOption(
      new Option("--runtime <runtime>", "what drives ONNX Runtime (default: capi on Linux)").choices([
        "node",
        "capi",
      ]),
    );
}

function parseDeviceOption(text: string): Device {
  if (isDevice(text)) return text;
  throw new InvalidArgumentError("Expected cpu, cuda or cuda:<number>.");
}

/** Add `[config]` and the options that shape a configuration. */
export function addConfigOptions(command: Command): Command {
  return command
    .argument(
      "[config]",
      `configuration (see \`insula configs\`) or file (.ts, .json) that extends one; default ${DEFAULT_CONFIG}`,
    )
    .option("--config <name>", "the same as an option")
    .addOption(
      new Option(
        "--size <size>",
        "model size (default: the config's, else full, or tiny with the embedded data)",
      ).choices(MODEL_SIZES),
    )
    .option(
      "--dataset <dir>",
      "LeRobot dataset (v2.0, v2.1 or v3.0), a folder or owner/name on the Hugging Face hub; default: the config's, or embedded sample data",
    )
    .option("--batch-size <n>", "samples per step", positiveInt)
    .option("--num-train-steps <n>", "optimizer steps (also --num-steps)", positiveInt)
    .option("--seed <n>", "seed of weights, order and noise", wholeNumber)
    .option("--weights <path>", "initial weights: a run, a checkpoint or a .safetensors file")
    .option("--set <path=value>", "set any field of the configuration (repeatable)", collect, []);
}

/** The configuration that the command line asks for. `--set` wins over the other options. */
export async function configFrom(argument: string | undefined, options: ConfigOptions): Promise<RunConfig> {
  const name = configName(argument, options.config, DEFAULT_CONFIG);
  const loaded = await loadConfig(name);
  const { config, own } = loaded;
  const given: Overrides = {};
  for (const key of ["batchSize", "numTrainSteps", "seed", "weights", "device", "runtime"] as const) {
    if (options[key] !== undefined) given[key] = options[key];
  }
  // Kept in the configuration, so that a resumed or evaluated run finds its data again.
  if (options.dataset !== undefined) {
    const { dataset } = options;
    // Instead of a mixture that the configuration names; one that is set beside it is an error.
    given["data"] = { repoId: isDatasetRepo(dataset) ? dataset : resolve(dataset), mixture: null };
  }
  const overrides = mergeOverrides(given, parseOverrides(options.set)) as Overrides;
  const sampleData =
    options.dataset === undefined && !config.data?.repoId && !config.data?.mixture && !setsDataset(overrides);
  // What is no size is refused when it is resolved.
  const asked = (overrides["size"] as ModelSize | undefined) ?? options.size ?? config.size;
  const size = asked ?? (sampleData ? "tiny" : "full");
  const lengthGiven = [...own, overrides].some(({ numTrainSteps }) => numTrainSteps !== undefined);
  const shortened =
    sampleData && size !== "full" && !lengthGiven
      ? { numTrainSteps: Math.min(SAMPLE_RUN_STEPS, config.numTrainSteps) }
      : {};
  return resolveFrom(name, loaded, { size, overrides: { ...overrides, ...shortened } });
}

/** Resolve; what is wrong with a file's own fields names the file. */
export function resolveFrom(
  name: string,
  { declared, own }: LoadedConfig,
  options: Omit<Resolution, "own">,
): RunConfig {
  if (isConfigFile(name)) {
    try {
      resolveConfig(declared, { size: options.size, own });
    } catch (error) {
      if (!(error instanceof InsulaError)) throw error;
      throw new InsulaError(error.code, `${resolve(name)}: ${error.message}`, { cause: error });
    }
  }
  return resolveConfig(declared, { ...options, own });
}

function setsDataset(overrides: Overrides): boolean {
  const data = overrides["data"] as { repoId?: unknown; mixture?: unknown } | undefined;
  return typeof data?.repoId === "string" || Array.isArray(data?.mixture);
}
