/**
 * @file The folder of a run and the rules for starting in one that is not empty (openpi
 * `training/checkpoints.py` `initialize_checkpoint_dir`). Everything a run writes lies in it:
 *
 *     <dir>/config.json          the resolved configuration
 *     <dir>/metrics.jsonl        one row per step
 *     <dir>/events.out.tfevents… the same for TensorBoard
 *     <dir>/loss-curves.svg      at the end
 *     <dir>/train.log            what the console showed
 *     <dir>/artifact/            the ONNX models and their manifest
 *     <dir>/assets/<assetId>/    normalisation statistics
 *     <dir>/checkpoints/<step>/  see ./checkpoint.js
 */
import { randomUUID } from "node:crypto";
import type { Stats } from "node:fs";
import { access, constants, readdir, rm, stat, unlink, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { InsulaError } from "@insula/model-types";
import { latestCheckpoint } from "./checkpoint.js";
import { makeDir } from "./make-dir.js";

/** Names that a run creates: only these are ever deleted by `--overwrite`. */
const OWN =
  /^(config\.json|metrics\.jsonl(\.partial)?|events\.out\.tfevents\..*|loss-curves\.svg|train\.log|artifact|assets|checkpoints)$/;
/** What shows that a run has been here. */
const MARKS = /^(metrics\.jsonl|checkpoints)$/;

export interface RunDir {
  dir: string;
  /** Step of the checkpoint to continue from; undefined for a fresh start. */
  resumeStep?: number;
  /** Why `resume` starts afresh, to be told. */
  note?: string;
}

export interface RunDirOptions {
  resume?: boolean;
  overwrite?: boolean;
}

/**
 * Create or reuse the folder of a run.
 *
 * Not there or holding no run: fresh start. Holding one: `overwrite` deletes it (and nothing else that lies
 * there), `resume` continues from its latest checkpoint or, where there is none, starts afresh; neither is an error.
 * @throws InsulaError `run/exists`, `run/flags` for both flags, `run/unwritable` when nothing can be written there.
 */
export async function openRunDir(path: string, options: RunDirOptions = {}): Promise<RunDir> {
  const run = await checkRunDir(path, options);
  await assertWritable(run.dir);
  const entries = options.overwrite ? await readdir(run.dir) : [];
  if (entries.some((name) => MARKS.test(name))) {
    for (const name of entries.filter((n) => OWN.test(n))) await rm(join(run.dir, name), { recursive: true });
  }
  return run;
}

/**
 * What {@link openRunDir} would answer, without touching anything: the check before heavy work. Permissions are
 * asked for, not tried, so a full disk shows only when the folder is opened.
 * @throws InsulaError as {@link openRunDir}.
 */
export async function checkRunDir(
  path: string,
  { resume = false, overwrite = false }: RunDirOptions = {},
): Promise<RunDir> {
  if (resume && overwrite) {
    throw new InsulaError(
      "run/flags",
      "--resume and --overwrite exclude each other: continue the run or delete it?",
    );
  }
  const dir = resolve(path);
  const exists = await assertPermitted(dir);
  const holdsRun = exists && (await readdir(dir)).some((name) => MARKS.test(name));
  if (!holdsRun || overwrite) return { dir };
  if (!resume) {
    throw new InsulaError(
      "run/exists",
      `${dir} already holds a run. Use --overwrite or --resume, or another --log-dir`,
    );
  }
  const step = await latestCheckpoint(join(dir, "checkpoints"));
  if (!step) return { dir, note: `${dir} holds no checkpoint yet: starting from step 0` };
  return { dir, resumeStep: step };
}

/** Make `dir` and try to write there. @throws InsulaError `run/unwritable` naming `flag` and the folder. */
export async function assertWritable(dir: string, flag = "--log-dir"): Promise<void> {
  try {
    await makeDir(dir);
    const probe = join(dir, `.insula-${randomUUID()}`);
    await writeFile(probe, "");
    await unlink(probe);
  } catch (cause) {
    throw unwritable(dir, flag, cause);
  }
}

/** Ask whether `dir`, or the folder in which it would be made, may be written to. Returns whether it exists. */
async function assertPermitted(dir: string): Promise<boolean> {
  try {
    let at = dir;
    let found = await statIfThere(at);
    while (!found && dirname(at) !== at) {
      at = dirname(at);
      found = await statIfThere(at);
    }
    if (!found?.isDirectory()) throw Object.assign(new Error("not a folder"), { code: "ENOTDIR" });
    await access(at, constants.W_OK | constants.X_OK);
    return at === dir;
  } catch (cause) {
    throw unwritable(dir, "--log-dir", cause);
  }
}

function statIfThere(path: string): Promise<Stats | undefined> {
  return stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
}

function unwritable(dir: string, flag: string, cause: unknown): InsulaError {
  const { code, message } = cause as NodeJS.ErrnoException;
  return new InsulaError(
    "run/unwritable",
    `${flag} ${dir}: cannot write there (${code ?? message}); choose a folder that you may write to`,
    { cause },
  );
}
