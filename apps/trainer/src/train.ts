/**
 * @file The training loop: batch → draws → step → record → guard → hooks → save. The model is behind
 * `TrainSession`, the data behind {@link TrainBatches}; what is here is order and interruption, each part is in `./train/`.
 */
import { duration } from "./metrics/console.js";
import type { MetricsRow } from "./metrics/row.js";
import { flowDraws, makeRng } from "./rng.js";
import { learningRate } from "./schedule.js";
import type { LoadedBatch, TrainOptions, TrainParts, TrainResult } from "./train/parts.js";
import { readAhead } from "./train/read-ahead.js";
import { metricsRow, openRecorder } from "./train/recorder.js";
import { createSaver } from "./train/saver.js";
import { createSkipGuard } from "./train/skips.js";
import { checkpointRoot, type Position, startRun } from "./train/start.js";
import { memoryLine } from "./train/summary.js";

export type { Best } from "./checkpoint/types.js";
export type {
  LoadedBatch,
  SampleOrigin,
  StepDone,
  StepHook,
  TrainBatches,
  TrainOptions,
  TrainParts,
  TrainResult,
} from "./train/parts.js";

/**
 * Train until `config.numTrainSteps` or an abort.
 * @throws InsulaError `train/diverged` when more than `config.maxSkippedSteps` steps in a row had a loss or gradient that is not
 *   finite; `checkpoint/gave-up` after `config.maxSaveFailures` failed saves in a row. The last checkpoint stays.
 */
export async function train(parts: TrainParts, options: TrainOptions): Promise<TrainResult> {
  const { config, session, hooks = [] } = parts;
  const { run, log, signal, clock = () => performance.now() } = options;
  const position = await startRun(parts, options);
  const first = position.step;
  const started = clock();

  const batches = await parts.openBatches(position.loader, first);
  const recorder = openRecorder(run.dir, { config, step: first, log, clock });
  const saver = createSaver(checkpointRoot(run.dir), { ...parts, log, clock, start: position });
  const guard = createSkipGuard(config.maxSkippedSteps, log);
  let last: MetricsRow | undefined;
  try {
    const ahead = readAhead(batches, config.numTrainSteps - first);
    while (position.step < config.numTrainSteps && !signal?.aborted) {
      const { row, loaded, draws } = await takeStep(parts, position, ahead, clock);
      last = recorder.step(row);
      await guard.check(row, async () => parts.diagnose?.(loaded, draws, row));
      const { batch } = loaded;
      const { best } = position;
      const validated = (value: number) => {
        if (!best || value < best.value) position.best = { step: row.step, value };
      };
      for (const hook of hooks) await hook({ row, batch, draws, session, recorder, best, validated });
      await saver.afterStep(position);
    }
    await saver.atEnd(position, signal);
  } catch (error) {
    await saver.beforeError(position, error);
    throw error;
  } finally {
    recorder.close();
    await batches.close();
  }

  const { step } = position;
  const curves = await recorder.curves().catch((error: Error) => `none (${error.message})`);
  log(memoryLine(session.memory(), parts.planned));
  const interrupted = step < config.numTrainSteps;
  log(
    interrupted
      ? `interrupted after step ${step}; --resume continues`
      : `done: ${step} steps in ${duration((clock() - started) / 1000)}, curves in ${curves}`,
  );
  const checkpoint = saver.latest();
  return { step, interrupted, ...(checkpoint ? { checkpoint } : {}), ...(last ? { last } : {}) };
}

/** One optimizer step; `position` moves on. */
async function takeStep(
  { config, session, truncated }: TrainParts,
  position: Position,
  ahead: { next(): Promise<LoadedBatch> },
  clock: () => number,
) {
  const begin = clock();
  const loaded = await ahead.next();
  const arrived = clock();
  const undrawn = position.noise.state();
  const draws = flowDraws(position.noise, { ...config, ...config.model });
  const lr = learningRate(config.lrSchedule, position.step);
  const metrics = await session.step(loaded.batch, draws, lr).catch((error: unknown) => {
    position.noise = makeRng(undrawn); // what is saved before the error is the step before
    throw error;
  });
  position.step += 1;
  position.loader = loaded.after;
  const times = { begin, arrived, end: clock() };
  const row = metricsRow(position.step, metrics, times, {
    batchSize: config.batchSize,
    truncated: loaded.truncated ?? truncated?.(),
    skippedSamples: loaded.skippedSamples,
  });
  return { row, loaded, draws };
}
