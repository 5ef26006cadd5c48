/**
 * @file Checkpoints: a folder per saved step, complete or absent. Written beside, synced, then renamed, so a
 * run killed at any moment leaves the previous one.
 *
 *     <step>/params/params.safetensors   what a policy serves: EMA weights when EMA is on (openpi names)
 *     <step>/train_state/state.json      step, generator and loader state
 *     <step>/train_state/{mu,nu}.safetensors
 *     <step>/train_state/params.safetensors   raw weights, only when EMA is on
 *     <step>/assets/<assetId>/norm_stats.json
 *     <step>/tokenizers/…                files to make the same tokens again
 *     <step>/config.json
 *
 * `<step>` is the number of optimizer steps taken. As openpi's layout; unlike it, the label counts from 1,
 * and generator and data order are kept, so that a resumed run continues as if it had never stopped.
 */
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ParamTree, TrainState } from "@insula/ki-model";
import { InsulaError } from "@insula/model-types";
import { readSafetensors, syncFolder, writeSafetensors, writeSynced } from "@insula/safetensors";
import { checkRunConfig } from "./configs/schema.js";
import type { RunConfig } from "./configs/types.js";
import type { RngState } from "./rng.js";

/** What a run needs besides the model's state to continue exactly. */
export interface Progress {
  /** Generators by purpose. */
  rng: Record<string, RngState>;
  /** The data loader's own state, opaque here. */
  loader: unknown;
}

export interface Checkpoint {
  config: RunConfig;
  state: TrainState;
  progress: Progress;
  /** Further files by relative path: `assets/droid/norm_stats.json`, `tokenizers/…`. */
  files: ReadonlyMap<string, Uint8Array | string>;
}

/** Completed steps that have a checkpoint under `root`, ascending. */
export async function listCheckpoints(root: string): Promise<number[]> {
  const names = await namesIn(root);
  return names
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

/** Delete what saves that were killed half-way left under `root`, whatever their step. */
async function removePartial(root: string): Promise<void> {
  for (const name of await namesIn(root)) {
    if (/^\d+\.partial$/.test(name)) await rm(join(root, name), { recursive: true, force: true });
  }
}

/** Names in a folder; none when it is not there. */
async function namesIn(root: string): Promise<string[]> {
  return readdir(root).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
}

/** The latest step under `root`, if any. */
export async function latestCheckpoint(root: string): Promise<number | undefined> {
  return (await listCheckpoints(root)).at(-1);
}

/**
 * Save under `root/<step>` and then delete what need not be kept: all but the latest and every step that is
 * a multiple of `config.keepPeriod`. What earlier saves left half-written is deleted first, to make room.
 * @returns the checkpoint's folder.
 * @throws InsulaError `checkpoint/write` when it could not be written; nothing is left behind.
 */
export async function saveCheckpoint(root: string, checkpoint: Checkpoint): Promise<string> {
  const { state, config } = checkpoint;
  const target = join(root, String(state.step));
  const beside = `${target}.partial`;
  try {
    await removePartial(root);
    await writeContents(beside, checkpoint);
    await rm(target, { recursive: true, force: true });
    await rename(beside, target);
    await syncFolder(root);
  } catch (cause) {
    await rm(beside, { recursive: true, force: true }).catch(() => undefined);
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new InsulaError(
      "checkpoint/write",
      `${target}: could not save the checkpoint (${code ?? message})`,
      {
        cause,
      },
    );
  }
  for (const step of await listCheckpoints(root)) {
    const keep = step >= state.step || (config.keepPeriod !== null && step % config.keepPeriod === 0);
    if (!keep) await rm(join(root, String(step)), { recursive: true, force: true });
  }
  return target;
}

async function writeContents(dir: string, { config, state, progress, files }: Checkpoint): Promise<void> {
  const folders = new Set([dir, join(dir, "params"), join(dir, "train_state")]);
  for (const path of files.keys()) {
    for (let at = dirname(join(dir, path)); at.length > dir.length; at = dirname(at)) folders.add(at);
  }
  for (const folder of folders) await mkdir(folder, { recursive: true });
  await writeTree(join(dir, "params", "params.safetensors"), state.ema ?? state.params);
  if (state.ema) await writeTree(join(dir, "train_state", "params.safetensors"), state.params);
  await writeTree(join(dir, "train_state", "mu.safetensors"), state.mu);
  await writeTree(join(dir, "train_state", "nu.safetensors"), state.nu);
  await writeSynced(
    join(dir, "train_state", "state.json"),
    json({ step: state.step, ...(state.lossScale ? { lossScale: state.lossScale } : {}), ...progress }),
  );
  await writeSynced(join(dir, "config.json"), json(config));
  for (const [path, content] of files) await writeSynced(join(dir, path), content);
  for (const folder of folders) await syncFolder(folder);
}

/**
 * Read a whole checkpoint.
 * @param dir the folder of one step.
 * @throws InsulaError `checkpoint/missing` naming the file that is not there.
 */
export async function readCheckpoint(dir: string): Promise<Omit<Checkpoint, "files">> {
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

/** The configuration that a checkpoint was trained with. */
export async function readCheckpointConfig(dir: string): Promise<RunConfig> {
  return checkRunConfig(JSON.parse(await readText(join(dir, "config.json"))));
}

/** The weights that a checkpoint serves. */
export function readParams(dir: string): Promise<ParamTree> {
  return readTree(join(dir, "params", "params.safetensors"));
}

/**
 * The folder of one step, given that folder or the run's folder (then its latest step).
 * @throws InsulaError `checkpoint/missing` when there is no checkpoint.
 */
export async function findCheckpoint(path: string): Promise<string> {
  for (const root of [join(path, "checkpoints"), path]) {
    const step = await latestCheckpoint(root);
    if (step !== undefined) return join(root, String(step));
  }
  await readText(join(path, "config.json"));
  return path;
}

/** Read float32 tensors by name. @throws InsulaError `checkpoint/dtype` for any other type. */
export async function readTree(path: string): Promise<ParamTree> {
  const tree: ParamTree = new Map();
  const tensors = await readSafetensors(path).catch((cause: NodeJS.ErrnoException) => {
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

const writeTree = (path: string, tree: ParamTree): Promise<void> =>
  writeSafetensors(path, tree, { format: "np" });

async function readText(path: string): Promise<string> {
  return readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw cause.code === "ENOENT" || cause.code === "ENOTDIR" ? missing(path, cause) : cause;
  });
}

const missing = (path: string, cause: unknown): InsulaError =>
  new InsulaError(
    "checkpoint/missing",
    `${path}: not there; expected a run's folder or one of its checkpoints/<step> folders`,
    { cause },
  );

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
