/**
 * @file When a run saves, and what it does when it cannot: it says so loudly, goes on, tries again later, and ends
 * only after a number of failures in a row, with a last checkpoint elsewhere where there is an elsewhere.
 */
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TrainSession } from "@insula/ki-model";
import { InsulaError } from "@insula/model-types";
import { type Checkpoint, saveCheckpoint } from "../checkpoint.js";
import type { RunConfig } from "../configs/types.js";
import { duration } from "../metrics/console.js";
import type { Position } from "./start.js";

export interface Saver {
  /**
   * Save after a step when it is due: every `saveInterval` and at a new best. After a failure, when its time has come.
   * @throws InsulaError `checkpoint/gave-up` after `maxSaveFailures` in a row.
   */
  afterStep(position: Position): Promise<void>;
  /**
   * Save what is not saved yet; failures are waited out here.
   * @param signal aborted, before or while it waits: there is no time to. It tries once more, and what fails goes to the
   *   emergency folder at once.
   * @throws as {@link afterStep}.
   */
  atEnd(position: Position, signal?: AbortSignal): Promise<void>;
  /**
   * Save what is not saved yet because the run ends with an error: a hook's, or data that cannot be read. Not after
   * errors that are about steps or saves themselves, and not when the model has got ahead of `position`. Never throws.
   */
  beforeError(position: Position, error: unknown): Promise<void>;
  /** The last checkpoint. */
  latest(): string | undefined;
}

export interface SaverOptions {
  config: RunConfig;
  session: Pick<TrainSession, "state">;
  files: Checkpoint["files"];
  log(line: string): void;
  /** Where the run begins. */
  start: Pick<Position, "step" | "best">;
  /** Milliseconds, monotonic. */
  clock(): number;
  /** Told `saving`, and undefined when that is over. */
  activity?(what: string | undefined): void;
}

/** The longest wait between two tries, unless the first is longer. */
const MOST_SECONDS = 600;

/** Errors after which the last checkpoint is the one to go on from. */
const FINAL = new Set(["train/diverged", "checkpoint/gave-up"]);

/** @param root the folder of the run's checkpoints. */
export function createSaver(root: string, options: SaverOptions): Saver {
  const { config, session, files, log, start, clock, activity } = options;
  const { maxSaveFailures, saveRetrySeconds } = config;
  let savedAt = start.step;
  let savedBest = start.best;
  let latest: string | undefined;
  let failures = 0;
  let retryAt = Number.POSITIVE_INFINITY;

  const save = async (to: string, { noise, loader, best }: Position) => {
    const progress = { rng: { noise: noise.state() }, loader, ...(best ? { best } : {}) };
    activity?.("saving");
    try {
      return await saveCheckpoint(to, { config, state: await session.state(), progress, files }, { log });
    } finally {
      activity?.(undefined);
    }
  };

  /** A best step that has no checkpoint is none. */
  const forgetUnsavedBest = (position: Position) => {
    if (position.best?.step === position.step) position.best = savedBest;
  };

  /** Save; the error where that failed. */
  const attempt = async (position: Position): Promise<InsulaError | undefined> => {
    try {
      latest = await save(root, position);
    } catch (error) {
      if (!(error instanceof InsulaError) || error.code !== "checkpoint/write") throw error;
      failures += 1;
      forgetUnsavedBest(position);
      return error;
    }
    if (failures > 0) log(`saving works again; failed tries: ${failures}`);
    failures = 0;
    retryAt = Number.POSITIVE_INFINITY;
    savedAt = position.step;
    savedBest = position.best;
    log(`saved ${latest}`);
    return undefined;
  };

  const complain = (error: InsulaError) => {
    const last = savedAt === 0 ? "there is none yet" : `the last one is of step ${savedAt}`;
    log(
      `ERROR: ${error.message}: failure ${failures} of ${maxSaveFailures}, ${last}; next try in ${duration(backoff())}`,
    );
  };

  const giveUp = async (error: InsulaError, position: Position): Promise<never> => {
    const rescued = await rescue(position);
    throw new InsulaError(
      "checkpoint/gave-up",
      `${error.message}: failure ${failures} of ${maxSaveFailures} (maxSaveFailures)` +
        `${failures < maxSaveFailures ? ", and no time for more" : ""}. The run ends after step ${position.step}. ${rescued}`,
      { cause: error },
    );
  };

  /** A last checkpoint elsewhere; what to be told of it. */
  const rescue = async (position: Position): Promise<string> => {
    if (config.emergencyDir === null)
      return "No emergencyDir is configured: steps since the last checkpoint are lost";
    const to = join(config.emergencyDir, config.name, basename(dirname(root)));
    try {
      const saved = await save(to, position);
      return `An emergency checkpoint is in ${saved}: move it to ${join(root, String(position.step))} and --resume`;
    } catch (error) {
      return `The emergency checkpoint failed too: ${(error as Error).message}`;
    }
  };

  const backoff = () =>
    Math.min(saveRetrySeconds * 2 ** (failures - 1), Math.max(saveRetrySeconds, MOST_SECONDS));

  return {
    async afterStep(position) {
      const { step } = position;
      if (step >= config.numTrainSteps) return; // atEnd's
      const due = step % config.saveInterval === 0 || position.best?.step === step;
      if (failures > 0 ? clock() < retryAt : !due) {
        forgetUnsavedBest(position);
        return;
      }
      const error = await attempt(position);
      if (!error) return;
      if (failures >= maxSaveFailures) await giveUp(error, position);
      complain(error);
      retryAt = clock() + 1000 * backoff();
    },
    async atEnd(position, signal) {
      while (savedAt !== position.step) {
        const error = await attempt(position);
        if (!error) return;
        if (failures >= maxSaveFailures || signal?.aborted) await giveUp(error, position);
        complain(error);
        await sleep(1000 * backoff(), undefined, { signal }).catch(() => undefined); // aborted
      }
    },
    async beforeError(position, error) {
      if (savedAt === position.step || (error instanceof InsulaError && FINAL.has(error.code))) return;
      try {
        // A step that failed half-way has changed parameters that no step number belongs to.
        if ((await session.state()).step === position.step) await attempt(position);
      } catch (other) {
        log(`ERROR: step ${position.step} could not be saved: ${(other as Error).message}`);
      }
    },
    latest: () => latest,
  };
}
