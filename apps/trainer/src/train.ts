/**
 * @file The training loop: plan, then batch → draws → step → metrics, with checkpoints. The model is behind
 * `TrainSession`, the data behind {@link TrainData}; what is here is order, bookkeeping and interruption.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TrainBatch, TrainMemory, TrainSession, TrainState } from "@insula/ki-model";
import { InsulaError } from "@insula/model-types";
import { type Checkpoint, type Progress, readCheckpoint, saveCheckpoint } from "./checkpoint.js";
import { assertSameRun } from "./configs/same-run.js";
import type { RunConfig } from "./configs/types.js";
import { consoleLine, duration } from "./metrics/console.js";
import { lossCurvesSvg } from "./metrics/curves.js";
import { openMetrics, readMetrics } from "./metrics/jsonl.js";
import type { MetricsRow } from "./metrics/row.js";
import { openEvents } from "./metrics/tensorboard.js";
import { gigabytes } from "./plan.js";
import { flowDraws, makeRng } from "./rng.js";
import type { RunDir } from "./run-dir.js";
import { learningRate } from "./schedule.js";

/** Batches in a reproducible order. */
export interface TrainBatches {
  /** The next batch, and the state from which the one after it follows. */
  next(): Promise<{ batch: TrainBatch; after: unknown }>;
  close(): Promise<void>;
}

/** What a run is made of. Everything heavy is made by the caller, in the order plan → artifact → session. */
export interface TrainParts {
  config: RunConfig;
  /** Batches from a saved loader state, or from the start; `step` is the number of steps taken before the first. */
  openBatches(state: unknown, step: number): Promise<TrainBatches>;
  session: TrainSession;
  /** Files that every checkpoint carries. */
  files: Checkpoint["files"];
  /** Samples whose tokens were cut since the data were opened. */
  truncated?(): number;
}

export interface TrainOptions {
  run: RunDir;
  log(line: string): void;
  /** When aborted, the step in progress is finished, a checkpoint saved and the loop left. */
  signal?: AbortSignal;
  /** Milliseconds, monotonic; injectable. */
  clock?: () => number;
}

export interface TrainResult {
  /** Optimizer steps taken, those before a resume included. */
  step: number;
  interrupted: boolean;
  /** The last checkpoint; undefined when there was nothing left to do. */
  checkpoint?: string;
  last?: MetricsRow;
}

/**
 * Train until `config.numTrainSteps` or an abort.
 * @throws InsulaError `train/diverged` when more than `config.maxSkippedSteps` steps in a row had a gradient that is not
 *   finite; the last checkpoint stays.
 */
export async function train(parts: TrainParts, options: TrainOptions): Promise<TrainResult> {
  const { config, session } = parts;
  const { run, log, signal, clock = () => performance.now() } = options;
  const root = join(run.dir, "checkpoints");
  const resumed =
    run.resumeStep === undefined ? undefined : await readCheckpoint(join(root, String(run.resumeStep)));
  if (resumed) {
    assertSameRun(resumed.config, config);
    await session.restore(resumed.state);
    log(`resumed from step ${resumed.state.step}`);
  }
  // Only now: a refused resume leaves the run's files as they are.
  await mkdir(root, { recursive: true });
  await writeFile(join(run.dir, "config.json"), `${JSON.stringify(config, null, 2)}\n`);

  let step = resumed?.state.step ?? 0;
  const noise = makeRng(resumed?.progress.rng["noise"] ?? { seed: config.seed, purpose: "noise" });
  const batches = await parts.openBatches(resumed?.progress.loader, step);
  const metrics = openMetrics(join(run.dir, "metrics.jsonl"), step);
  const events = openEvents(run.dir);
  const cutBefore = resumed ? cutSamples(readMetrics(join(run.dir, "metrics.jsonl"))) : 0;
  let warned = false;
  let skippedInRow = 0;
  let loader: unknown = resumed?.progress.loader;
  let checkpoint: string | undefined;
  let savedAt = step;
  let sinceLog: MetricsRow[] = [];
  let last: MetricsRow | undefined;
  const started = clock();

  const save = async () => {
    const progress: Progress = { rng: { noise: noise.state() }, loader };
    const state: TrainState = await session.state();
    checkpoint = await saveCheckpoint(root, { config, state, progress, files: parts.files });
    savedAt = step;
    log(`saved ${checkpoint}`);
  };

  try {
    // One batch ahead: the next one is decoded while the model computes.
    let ahead = step < config.numTrainSteps ? batches.next() : undefined;
    while (ahead && step < config.numTrainSteps && !signal?.aborted) {
      const begin = clock();
      const { batch, after } = await ahead;
      const arrived = clock();
      ahead = step + 1 < config.numTrainSteps ? batches.next() : undefined;
      ahead?.catch(() => undefined); // awaited in the next round; must not count as unhandled meanwhile
      const draws = flowDraws(noise, { ...config.model, batchSize: config.batchSize });
      const result = await session.step(batch, draws, learningRate(config.lrSchedule, step));
      step += 1;
      loader = after;
      const ms = clock() - begin;
      const cut = parts.truncated?.();
      if (cut && !warned) {
        warned = true;
        log(
          `warning: by step ${step}, ${cut} samples had more tokens than maxTokenLen ${config.model.maxTokenLen} ` +
            "and were cut; metrics.jsonl counts them as 'truncated'",
        );
      }
      last = {
        step,
        ...result,
        samples_per_s: round((1000 * config.batchSize) / ms),
        step_ms: round(ms),
        data_ms: round(arrived - begin),
        ...(cut === undefined ? {} : { truncated: cutBefore + cut }),
        time: round(Date.now() / 1000),
      };
      metrics.write(last);
      events.scalars(step, last.time, tensorboardTags(last));
      sinceLog.push(last);
      skippedInRow = last.skipped ? skippedInRow + 1 : 0;
      if (last.skipped) reportSkipped(last, skippedInRow, config.maxSkippedSteps, log);
      if (step === 1 || step % config.logInterval === 0 || step === config.numTrainSteps) {
        log(consoleLine(sinceLog, config.numTrainSteps));
        sinceLog = [];
      }
      if (step % config.saveInterval === 0 && step < config.numTrainSteps) await save();
    }
    if (savedAt !== step) await save();
  } finally {
    metrics.close();
    events.close();
    await batches.close();
  }
  const rows = readMetrics(join(run.dir, "metrics.jsonl"));
  const title = `${config.name} · ${config.size} · ${step} steps of ${config.batchSize}`;
  await writeFile(join(run.dir, "loss-curves.svg"), lossCurvesSvg(rows, title));
  const interrupted = step < config.numTrainSteps;
  log(memoryLine(session.memory()));
  log(
    interrupted
      ? `interrupted after step ${step}; --resume continues`
      : `done: ${step} steps in ${duration((clock() - started) / 1000)}, curves in ${join(run.dir, "loss-curves.svg")}`,
  );
  return { step, interrupted, ...(checkpoint ? { checkpoint } : {}), ...(last ? { last } : {}) };
}

/** What the run took: its tensors, and the most that the graphs took besides. */
function memoryLine({ tensors, arena }: TrainMemory): string {
  const graphs = arena
    ? `, ${gigabytes(arena.peak)} at most inside of the graphs (${gigabytes(arena.reserved)} reserved)`
    : "";
  return `memory      ${gigabytes(tensors)} parameters, gradients and moments${graphs}, process ${gigabytes(process.memoryUsage.rss())}`;
}

/** The count in the last row; 0 where rows have none. */
const cutSamples = (rows: readonly MetricsRow[]): number => rows.at(-1)?.truncated ?? 0;

/** Say that a step changed nothing, and why; end the run when that goes on. */
function reportSkipped(row: MetricsRow, inRow: number, limit: number, log: (line: string) => void): void {
  const found = (["total", "fast_loss", "action_loss", "grad_norm"] as const).find(
    (key) => row[key] !== undefined && !Number.isFinite(row[key]),
  )!;
  const what = `step ${row.step}: ${found} is ${row[found]}`;
  if (inRow > limit) {
    throw new InsulaError(
      "train/diverged",
      `${what}, and ${inRow} steps in a row changed nothing (maxSkippedSteps ${limit}). The run has diverged: lower ` +
        "lrSchedule.peakLr, or look for outliers in the normalisation statistics. The last checkpoint is untouched",
    );
  }
  const scale = row.loss_scale === undefined ? "" : `; the loss scale was ${row.loss_scale} and is halved`;
  log(`warning: ${what}: nothing was changed${scale}`);
}

function tensorboardTags(row: MetricsRow): Record<string, number | undefined> {
  return {
    "loss/total": row.total,
    "loss/fast": row.fast_loss,
    "loss/action": row.action_loss,
    "accuracy/fast": row.fast_accuracy,
    "grad_norm/all": row.grad_norm,
    "grad_norm/vlm": row.grad_norm_vlm,
    "grad_norm/expert": row.grad_norm_expert,
    param_norm: row.param_norm,
    loss_scale: row.loss_scale,
    lr: row.lr,
    samples_per_s: row.samples_per_s,
  };
}

/** Milliseconds and rates to three decimals: shorter rows, nothing lost. */
const round = (value: number): number => Number(value.toFixed(3));
