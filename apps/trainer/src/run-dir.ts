/**
 * @file The folder of a run and the rules for starting in one that is not empty (openpi
 * `training/checkpoints.py` `initialize_checkpoint_dir`). Everything a run writes lies in it:
 *
 *     <dir>/config.json          the resolved configuration
 *     <dir>/metrics.jsonl        one row per step
 *     <dir>/events.out.tfevents… the same for TensorBoard
 *     <dir>/loss-curves.svg      at the end
 *     <dir>/sessions.jsonl       one row per start: when, where, which version
 *     <dir>/validation/          the sampled actions of the last validation
 *     <dir>/train.log            what the console showed
 *     <dir>/artifact/            the ONNX models and their manifest
 *     <dir>/assets/<assetId>/    normalisation statistics
 *     <dir>/checkpoints/<step>/  see ./checkpoint.js; a link where checkpoints lie elsewhere
 */
import { randomUUID } from "node:crypto";
import type { Stats } from "node:fs";
import { access, constants, readdir, realpath, rm, stat, symlink, unlink, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { InsulaError } from "@insula/model-types";
import { type Damaged, latestWhole, listCheckpoints, setAside } from "./checkpoint.js";
import { makeDir } from "./make-dir.js";

/** Names that a run creates: only these are ever deleted by `--overwrite`. */
const OWN =
  /^(config\.json|metrics\.jsonl(\.partial)?|events\.out\.tfevents\..*|loss-curves\.svg|train\.log|sessions\.jsonl|report\.html|artifact|assets|validation|checkpoints)$/;
/** What shows that a run has been here. */
const MARKS = /^(metrics\.jsonl|checkpoints)$/;
/** What saves leave in a folder of checkpoints. */
const SAVED = /^(\d+(\.old)?(\.partial)?|\d+\.damaged|best(\.partial)?)$/;

export interface RunDir {
  dir: string;
  /** Step of the checkpoint to continue from; undefined for a fresh start. */
  resumeStep?: number;
  /** What else is to be told: why `resume` starts afresh, or from an older checkpoint. */
  note?: string;
}

export interface RunDirOptions {
  resume?: boolean;
  overwrite?: boolean;
  /** Folder of this run's checkpoints, elsewhere; `<dir>/checkpoints` leads there. */
  checkpointDir?: string;
}

/** A run's folder that was looked at. */
export interface CheckedRunDir extends RunDir {
  /** Checkpoints later than `resumeStep` whose files are not what was written. */
  damaged: readonly Damaged[];
}

/**
 * Create or reuse the folder of a run.
 *
 * Not there or holding no run: fresh start. Holding one: `overwrite` deletes it (and nothing else that lies
 * there), `resume` continues from its latest checkpoint that is whole or, where there is none at all, starts afresh;
 * neither is an error. Damaged checkpoints are set aside as `<step>.damaged`.
 * @param checked what {@link checkRunDir} said of the same folder and options: checkpoints are then not read again.
 * @throws InsulaError `run/exists`, `run/flags` for both flags, `run/unwritable` when nothing can be written there,
 *   `run/checkpoint-dir` when the run's checkpoints lie elsewhere, `checkpoint/damaged` when none is whole.
 */
export async function openRunDir(
  path: string,
  options: RunDirOptions = {},
  checked?: CheckedRunDir,
): Promise<RunDir> {
  const { damaged, ...run } = checked ?? (await checkRunDir(path, options));
  const { checkpointDir, overwrite } = options;
  await assertWritable(run.dir);
  if (checkpointDir !== undefined) await assertWritable(checkpointDir, "--checkpoint-base-dir");
  const root = join(run.dir, "checkpoints");
  if (overwrite) await deleteRun(run.dir, checkpointDir);
  if (checkpointDir !== undefined && (await statIfThere(root)) === undefined) {
    await rm(root, { force: true }); // a link to what is gone
    await symlink(resolve(checkpointDir), root, "dir");
  }
  await setAside(root, damaged);
  return run;
}

/** Delete what runs leave, and nothing else: a link to checkpoints elsewhere, and those. */
async function deleteRun(dir: string, checkpointDir: string | undefined): Promise<void> {
  for (const root of [join(dir, "checkpoints"), ...(checkpointDir === undefined ? [] : [checkpointDir])]) {
    const saved = (await namesIfThere(root)).filter((name) => SAVED.test(name));
    for (const name of saved) await rm(join(root, name), { recursive: true });
  }
  const entries = await readdir(dir);
  if (!entries.some((name) => MARKS.test(name))) return;
  for (const name of entries.filter((n) => OWN.test(n))) await rm(join(dir, name), { recursive: true });
}

/**
 * What {@link openRunDir} would answer, without touching anything: the check before heavy work. Permissions are
 * asked for, not tried, so a full disk shows only when the folder is opened. With `resume` the latest checkpoint is
 * read and compared with its checksums.
 * @throws InsulaError as {@link openRunDir}.
 */
export async function checkRunDir(
  path: string,
  { resume = false, overwrite = false, checkpointDir }: RunDirOptions = {},
): Promise<CheckedRunDir> {
  if (resume && overwrite) {
    throw new InsulaError(
      "run/flags",
      "--resume and --overwrite exclude each other: continue the run or delete it?",
    );
  }
  const dir = resolve(path);
  const exists = await assertPermitted(dir);
  const inside = join(dir, "checkpoints");
  const elsewhere = checkpointDir === undefined ? undefined : resolve(checkpointDir);
  const holdsRun =
    (exists && (await readdir(dir)).some((name) => MARKS.test(name))) ||
    (elsewhere !== undefined && (await listCheckpoints(elsewhere)).length > 0);
  if (!holdsRun || overwrite) return { dir, damaged: [] };
  if (!resume) {
    throw new InsulaError(
      "run/exists",
      `${dir} already holds a run. Use --overwrite or --resume, or another --log-dir`,
    );
  }
  if (elsewhere !== undefined) await assertSamePlace(inside, elsewhere);
  const { step, damaged } = await latestWhole(elsewhere ?? inside);
  if (!step) return { dir, damaged, note: `${dir} holds no checkpoint yet: starting from step 0` };
  if (damaged.length === 0) return { dir, damaged, resumeStep: step };
  const note =
    `WARNING: ${damaged.map(({ problem }) => problem).join("; ")}. Continuing from step ${step}, the latest checkpoint ` +
    `that is whole; the damaged ${damaged.length === 1 ? "one is" : "ones are"} kept as <step>.damaged`;
  return { dir, damaged, resumeStep: step, note };
}

/** A run's checkpoints are in one place. */
async function assertSamePlace(inside: string, elsewhere: string): Promise<void> {
  if ((await statIfThere(inside)) === undefined) return;
  const there = await realpath(inside);
  const wanted = await realpath(elsewhere).catch(() => elsewhere);
  if (there === wanted) return;
  throw new InsulaError(
    "run/checkpoint-dir",
    `--resume: the checkpoints of this run are in ${there}, not in ${wanted}; resume without --checkpoint-base-dir, ` +
      `or move them there and delete ${inside}`,
  );
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

const namesIfThere = (dir: string): Promise<string[]> =>
  readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });

function unwritable(dir: string, flag: string, cause: unknown): InsulaError {
  const { code, message } = cause as NodeJS.ErrnoException;
  return new InsulaError(
    "run/unwritable",
    `${flag} ${dir}: cannot write there (${code ?? message}); choose a folder that you may write to`,
    { cause },
  );
}
