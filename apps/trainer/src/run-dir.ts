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
import { readdir, rm, unlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
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

/**
 * Create or reuse the folder of a run.
 *
 * Not there or holding no run: fresh start. Holding one: `overwrite` deletes it (and nothing else that lies
 * there), `resume` continues from its latest checkpoint or, where there is none, starts afresh; neither is an error.
 * @throws InsulaError `run/exists`, `run/flags` for both flags, `run/unwritable` when nothing can be written there.
 */
export async function openRunDir(
  path: string,
  { resume = false, overwrite = false }: { resume?: boolean; overwrite?: boolean } = {},
): Promise<RunDir> {
  if (resume && overwrite) {
    throw new InsulaError(
      "run/flags",
      "--resume and --overwrite exclude each other: continue the run or delete it?",
    );
  }
  const dir = resolve(path);
  await assertWritable(dir);
  const entries = await readdir(dir);
  if (!entries.some((name) => MARKS.test(name))) return { dir };
  if (overwrite) {
    for (const name of entries.filter((n) => OWN.test(n))) await rm(join(dir, name), { recursive: true });
    return { dir };
  }
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
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new InsulaError(
      "run/unwritable",
      `${flag} ${dir}: cannot write there (${code ?? message}); choose a folder that you may write to`,
      { cause },
    );
  }
}
