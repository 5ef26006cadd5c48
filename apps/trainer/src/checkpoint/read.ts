/** @file Reading a checkpoint, or the part of it that one needs. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ParamTree, TrainState } from "@insula/ki-model";
import { InsulaError } from "@insula/model-types";
import { readTensors } from "@insula/safetensors";
import { checkRunConfig } from "../configs/schema.js";
import type { RunConfig } from "../configs/types.js";
import { checkLengths } from "./checksums.js";
import { instead, missing } from "./list.js";
import type { Checkpoint, Progress } from "./types.js";

/**
 * Read a whole checkpoint.
 * @param dir the folder of one step.
 * @throws InsulaError `checkpoint/missing` naming the file that is not there, `checkpoint/damaged` one whose length is
 *   not what was written, and the latest checkpoint beside it that is whole.
 */
export async function readCheckpoint(dir: string): Promise<Omit<Checkpoint, "files">> {
  await checkPart(dir, "");
  const config = await readCheckpointConfig(dir);
  const { step, lossScale, ...progress } = JSON.parse(
    await readText(join(dir, "train_state", "state.json")),
  ) as Progress & Pick<TrainState, "step" | "lossScale">;
  const served = await readParams(dir);
  const state: TrainState = {
    step,
    params:
      config.emaDecay === null ? served : await readTree(join(dir, "train_state", "params.safetensors")),
    mu: await readTree(join(dir, "train_state", "mu.safetensors")),
    nu: await readTree(join(dir, "train_state", "nu.safetensors")),
    ...(config.emaDecay === null ? {} : { ema: served }),
    ...(lossScale ? { lossScale } : {}),
  };
  return { config, state, progress };
}

/** The configuration that a checkpoint was trained with. @throws as {@link readCheckpoint}. */
export async function readCheckpointConfig(dir: string): Promise<RunConfig> {
  await checkPart(dir, "config.json");
  return checkRunConfig(JSON.parse(await readText(join(dir, "config.json"))));
}

/** The weights that a checkpoint serves. @throws as {@link readCheckpoint}. */
export async function readParams(dir: string): Promise<ParamTree> {
  return readTree(await paramsFile(dir));
}

/** The file of those weights, or the name that their shards share. @throws as {@link readCheckpoint}. */
export async function paramsFile(dir: string): Promise<string> {
  await checkPart(dir, "params/");
  return join(dir, "params", "params.safetensors");
}

/** Read float32 tensors by name, of one file or of shards. @throws InsulaError `checkpoint/dtype` for any other type. */
export async function readTree(path: string): Promise<ParamTree> {
  const tree: ParamTree = new Map();
  const tensors = await readTensors(path).catch((cause: NodeJS.ErrnoException) => {
    throw cause.code === "ENOENT" ? missing(path, cause) : cause;
  });
  for (const [name, { data, shape, dtype }] of tensors) {
    if (!(data instanceof Float32Array)) {
      throw new InsulaError("checkpoint/dtype", `${path}: ${name}: expected F32, found ${dtype}`);
    }
    tree.set(name, { data, shape });
  }
  return tree;
}

async function checkPart(dir: string, prefix: string): Promise<void> {
  try {
    await checkLengths(dir, prefix);
  } catch (error) {
    if (!(error instanceof InsulaError)) throw error;
    throw new InsulaError(error.code, `${error.message}${await instead(dir)}`, { cause: error });
  }
}

async function readText(path: string): Promise<string> {
  return readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw cause.code === "ENOENT" || cause.code === "ENOTDIR" ? missing(path, cause) : cause;
  });
}
