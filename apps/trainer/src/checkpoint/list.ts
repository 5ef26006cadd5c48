/** @file The checkpoints of a run: `<step>` folders, and `best`, a link to one of them. */
import { readdir, readlink, rename, rm, stat, symlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { InsulaError } from "@insula/model-types";
import { checkDigests, checkLengths } from "./checksums.js";
import type { Best } from "./types.js";

/** The link to the step with the best validation value. */
export const BEST_LINK = "best";

/** Completed steps that have a checkpoint under `root`, ascending. */
export async function listCheckpoints(root: string): Promise<number[]> {
  const names = await namesIn(root);
  return names
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

/** Names in a folder; none when it is not there. */
export async function namesIn(root: string): Promise<string[]> {
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
 * The folder of one step, given that folder, a link to it (`checkpoints/best`) or the run's folder (then its latest
 * step).
 * @throws InsulaError `checkpoint/missing` when there is no checkpoint.
 */
export async function findCheckpoint(path: string): Promise<string> {
  for (const root of [join(path, "checkpoints"), path]) {
    const step = await latestCheckpoint(root);
    if (step !== undefined) return join(root, String(step));
  }
  const config = join(path, "config.json");
  await stat(config).catch((cause: unknown) => {
    throw missing(config, cause);
  });
  const target = await readlink(path).catch(() => undefined); // EINVAL: no link
  return target === undefined ? path : resolve(dirname(path), target);
}

/** A step whose files are not what was written, and the first of them. */
export interface Damaged {
  step: number;
  problem: string;
}

/**
 * The latest step whose every file is what was written, and the later ones that are not. Reads whole checkpoints,
 * usually one.
 * @throws InsulaError `checkpoint/damaged` when there are checkpoints and none is whole.
 */
export async function latestWhole(root: string): Promise<{ step?: number; damaged: Damaged[] }> {
  const damaged: Damaged[] = [];
  for (const step of (await listCheckpoints(root)).reverse()) {
    const problem = await problemOf(checkDigests(join(root, String(step))));
    if (problem === undefined) return { step, damaged };
    damaged.push({ step, problem });
  }
  if (damaged.length === 0) return { damaged };
  throw new InsulaError(
    "checkpoint/damaged",
    `${root}: no checkpoint is whole: ${damaged.map(({ problem }) => problem).join("; ")}. ` +
      "Restore one, or start anew with --overwrite",
  );
}

/**
 * Where to turn instead of the damaged checkpoint `dir`: the latest other one whose files have their lengths.
 * @returns a clause for a message, empty when there is none.
 */
export async function instead(dir: string): Promise<string> {
  const root = join(dir, "..");
  for (const step of (await listCheckpoints(root)).reverse()) {
    const other = join(root, String(step));
    if (join(dir) !== other && (await problemOf(checkLengths(other))) === undefined) {
      return `; the checkpoint of step ${step} is whole: ${other}`;
    }
  }
  return "";
}

async function problemOf(check: Promise<void>): Promise<string | undefined> {
  try {
    await check;
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Take damaged checkpoints out of the list, under `<step>.damaged`: nobody resumes from them, and nothing is lost. */
export async function setAside(root: string, damaged: readonly Damaged[]): Promise<void> {
  for (const { step } of damaged) {
    const aside = join(root, `${step}.damaged`);
    await rm(aside, { recursive: true, force: true });
    await rename(join(root, String(step)), aside);
  }
}

/** Make `best` lead to the best step, or to nothing when there is none; a reader sees the old link or the new one. */
export async function linkBest(root: string, best: Best | undefined): Promise<void> {
  const link = join(root, BEST_LINK);
  const there = best && (await listCheckpoints(root)).includes(best.step);
  if (!there) {
    await rm(link, { force: true });
    return;
  }
  const beside = `${link}.partial`;
  await rm(beside, { force: true });
  await symlink(String(best.step), beside, "dir");
  await rename(beside, link);
}

export const missing = (path: string, cause: unknown): InsulaError =>
  new InsulaError(
    "checkpoint/missing",
    `${path}: not there; expected a run's folder or one of its checkpoints/<step> folders`,
    { cause },
  );
