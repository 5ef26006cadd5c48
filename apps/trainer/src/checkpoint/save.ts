/** @file Saving: written beside, synced, then renamed, so that a run killed at any moment leaves the previous checkpoint. */
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import type { ParamTree } from "@insula/ki-model";
import { InsulaError } from "@insula/model-types";
import { streamed, syncFolder, writeShardedSafetensors, writeSynced } from "@insula/safetensors";
import { CHECKSUMS_FILE, type Checksums, checksumOf, checksumsText } from "./checksums.js";
import { linkBest } from "./list.js";
import { prune, removePartial } from "./prune.js";
import type { Checkpoint } from "./types.js";
import { codeVersion } from "./version.js";

export interface SaveOptions {
  /** Most bytes of one file of tensors; default 2 GB. */
  shardBytes?: number;
  /** Told what went wrong after the checkpoint was complete: a link or a deletion. */
  log?(line: string): void;
}

/**
 * Save under `root/<step>` and then delete what need not be kept: all but the newest `config.maxToKeep`, the best step
 * and multiples of `config.keepPeriod`. What earlier saves left half-written is deleted first, to make room.
 * @returns the checkpoint's folder.
 * @throws InsulaError `checkpoint/write` when it could not be written; nothing is left behind.
 */
export async function saveCheckpoint(
  root: string,
  checkpoint: Checkpoint,
  { shardBytes, log = () => undefined }: SaveOptions = {},
): Promise<string> {
  const { step } = checkpoint.state;
  const target = join(root, String(step));
  const beside = `${target}.partial`;
  try {
    await removePartial(root);
    await writeContents(beside, checkpoint, shardBytes);
    await replace(beside, target);
    await syncFolder(root);
  } catch (cause) {
    await rm(beside, { recursive: true, force: true }).catch(() => undefined);
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new InsulaError(
      "checkpoint/write",
      `${target}: could not save the checkpoint (${code ?? message})`,
      { cause },
    );
  }
  const { config, progress } = checkpoint;
  const { maxToKeep, keepPeriod } = config;
  try {
    await linkBest(root, progress.best);
    await prune(root, { latest: step, maxToKeep, keepPeriod, best: progress.best?.step });
  } catch (error) {
    log(`warning: ${target} is saved, but ${(error as Error).message}`);
  }
  return target;
}

/** Rename over a folder: the old one gives way first, and is gone only when the new one is there. */
async function replace(from: string, to: string): Promise<void> {
  const old = `${to}.old.partial`;
  await rename(to, old).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
  await rename(from, to);
  await rm(old, { recursive: true, force: true });
}

async function writeContents(
  dir: string,
  { config, state, progress, files }: Checkpoint,
  shardBytes: number | undefined,
): Promise<void> {
  const sums: Checksums = {};
  const folders = new Set([dir]);
  const note = (path: string) => {
    for (let at = dirname(path); at.length >= dir.length; at = dirname(at)) folders.add(at);
    return relative(dir, path).split(sep).join("/");
  };
  const writeTree = async (name: string, tree: ParamTree | undefined) => {
    if (!tree) return;
    const path = join(dir, name);
    await mkdir(dirname(path), { recursive: true });
    const tensors = [...tree].map(([name, array]) => streamed(name, array));
    const options = { metadata: { format: "np" }, ...(shardBytes === undefined ? {} : { shardBytes }) };
    for (const { path: file, bytes, sha256 } of await writeShardedSafetensors(path, tensors, options))
      sums[note(file)] = { bytes, sha256 };
  };
  const write = async (name: string, content: Uint8Array | string) => {
    const path = join(dir, name);
    await writeSynced(path, content);
    sums[note(path)] = checksumOf(content);
  };
  const { step, lossScale } = state;
  await writeTree("params/params.safetensors", state.ema ?? state.params);
  await writeTree("train_state/params.safetensors", state.ema && state.params);
  await writeTree("train_state/mu.safetensors", state.mu);
  await writeTree("train_state/nu.safetensors", state.nu);
  await write("train_state/state.json", json({ step, ...(lossScale ? { lossScale } : {}), ...progress }));
  await write("config.json", json(config));
  await write("version.json", json({ version: await codeVersion(), node: process.version }));
  for (const [path, content] of files) await write(path, content);
  await writeSynced(join(dir, CHECKSUMS_FILE), checksumsText(sums));
  for (const folder of folders) await syncFolder(folder);
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
