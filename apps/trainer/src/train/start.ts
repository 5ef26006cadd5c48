/** @file Where a run begins: at step 0, or where its checkpoint left off. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeSynced } from "@insula/safetensors";
import type { Best } from "../checkpoint/types.js";
import { linkBest, readCheckpoint } from "../checkpoint.js";
import { assertSameRun } from "../configs/same-run.js";
import { makeRng, type Rng } from "../rng.js";
import type { TrainOptions, TrainParts } from "./parts.js";

/** What changes from step to step, the model aside. */
export interface Position {
  /** Steps taken. */
  step: number;
  /** The state of the loader from which the next batch follows. */
  loader: unknown;
  /** Noise and flow times. */
  noise: Rng;
  best: Best | undefined;
}

/** The folder of a run's checkpoints. */
export const checkpointRoot = (runDir: string): string => join(runDir, "checkpoints");

/**
 * Restore what `run.resumeStep` names, or begin. A refused resume leaves the run's files as they are.
 * @throws InsulaError `run/config-changed`, and as `readCheckpoint`.
 */
export async function startRun(
  { config, session }: TrainParts,
  { run, log }: TrainOptions,
): Promise<Position> {
  const root = checkpointRoot(run.dir);
  const saved =
    run.resumeStep === undefined ? undefined : await readCheckpoint(join(root, String(run.resumeStep)));
  if (saved) {
    assertSameRun(saved.config, config);
    await session.restore(saved.state);
    log(`resumed from step ${saved.state.step}`);
  }
  await mkdir(root, { recursive: true });
  // A kill between a checkpoint's rename and its link leaves the old link.
  if (saved) await linkBest(root, saved.progress.best);
  await writeSynced(join(run.dir, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
  return {
    step: saved?.state.step ?? 0,
    loader: saved?.progress.loader,
    noise: makeRng(saved?.progress.rng["noise"] ?? { seed: config.seed, purpose: "noise" }),
    best: saved?.progress.best,
  };
}
