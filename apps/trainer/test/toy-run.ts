/** The training loop on the toy model as a process, to be killed, stopped and starved. */
import { setTimeout as sleep } from "node:timers/promises";
import type { RunConfig } from "../src/configs/types.js";
import { openRunDir } from "../src/run-dir.js";
import { watchSignals } from "../src/train/signals.js";
import { train } from "../src/train.js";
import { toyConfig, toyParts } from "./toy.js";

export interface ToyRun {
  dir: string;
  config: Partial<RunConfig>;
  resume?: boolean;
  /** Make every step last this much longer. */
  stepMs?: number;
  graceSeconds?: number;
}

export async function main([json]: string[]): Promise<void> {
  const { dir, config, resume = false, stepMs = 0, graceSeconds = 30 } = JSON.parse(json!) as ToyRun;
  const log = (line: string) => void process.stdout.write(`${line}\n`);
  const watch = watchSignals({ graceSeconds, log });
  const parts = await toyParts(toyConfig(config));
  const run = await openRunDir(dir, { resume });
  if (run.note) log(run.note);
  const session: typeof parts.session = {
    ...parts.session,
    async step(...args) {
      await sleep(stepMs);
      return parts.session.step(...args);
    },
  };
  try {
    await train({ ...parts, session }, { run, log, signal: watch.signal });
    process.exitCode = watch.exitCode();
  } catch (error) {
    log(`${(error as { code?: string }).code}: ${(error as Error).message}`);
    process.exitCode = watch.exitCode() || 1;
  } finally {
    watch.release();
    await parts.session.release();
  }
}
