/** @file What a run leaves behind about its steps: rows, TensorBoard events, console lines, curves at the end. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { StepMetrics } from "@insula/ki-model";
import type { RunConfig } from "../configs/types.js";
import { consoleLine } from "../metrics/console.js";
import { lossCurvesSvg } from "../metrics/curves.js";
import { openMetrics, readMetrics } from "../metrics/jsonl.js";
import { createPace } from "../metrics/pace.js";
import type { MetricsRow, ValidationRow } from "../metrics/row.js";
import { type EventWriter, openEvents } from "../metrics/tensorboard.js";

export interface Recorder {
  /** Record a step; the row as it was written, with what was cut before a resume. */
  step(row: MetricsRow): MetricsRow;
  /** Record a validation. */
  validation(row: ValidationRow): void;
  /** For whatever else belongs into the event file. */
  readonly events: EventWriter;
  log(line: string): void;
  close(): void;
  /** Draw `loss-curves.svg`, after {@link close}. Returns its path. */
  curves(): Promise<string>;
}

/** Record steps in folder `dir`. `step` is the number of steps taken before the first; rows of later ones are dropped. */
export function openRecorder(
  dir: string,
  {
    config,
    step: resumedAt,
    log,
    clock,
  }: { config: RunConfig; step: number; log(line: string): void; clock(): number },
): Recorder {
  const path = join(dir, "metrics.jsonl");
  const metrics = openMetrics(path, resumedAt, (code) =>
    log(`ERROR: ${path} cannot be written (${code}): rows wait in memory until there is room`),
  );
  const events = openEvents(dir, { resumeStep: resumedAt });
  const before = resumedAt === 0 ? undefined : readMetrics(path).at(-1);
  const [cutBefore, skippedBefore] = [before?.truncated ?? 0, before?.skipped_samples ?? 0];
  let warned = false;
  let sinceLog: MetricsRow[] = [];
  let steps = resumedAt;
  const pace = createPace(clock);

  const warnOfCuts = (cut: number) => {
    if (!cut || warned) return;
    warned = true;
    log(
      `warning: by step ${steps}, ${cut} samples had more tokens than maxTokenLen ${config.model.maxTokenLen} ` +
        "and were cut; metrics.jsonl counts them as 'truncated'",
    );
  };

  return {
    events,
    log,
    step(row) {
      steps = row.step;
      warnOfCuts(row.truncated ?? 0);
      const skipped = skippedBefore + (row.skipped_samples ?? 0);
      const whole = {
        ...row,
        ...(row.truncated === undefined ? {} : { truncated: cutBefore + row.truncated }),
        ...(skipped > 0 ? { skipped_samples: skipped } : {}),
      };
      metrics.write(whole);
      events.write(steps, whole.time, { scalars: tensorboardTags(whole) });
      sinceLog.push(whole);
      const wallMs = pace(whole);
      if (steps === 1 || steps % config.logInterval === 0 || steps === config.numTrainSteps) {
        log(consoleLine(sinceLog, config.numTrainSteps, wallMs));
        sinceLog = [];
      }
      return whole;
    },
    validation: (row) => metrics.write(row),
    close() {
      metrics.close();
      events.close();
    },
    async curves() {
      const to = join(dir, "loss-curves.svg");
      const title = `${config.name} · ${config.size} · ${steps} steps of ${config.batchSize}`;
      await writeFile(to, lossCurvesSvg(readMetrics(path), title));
      return to;
    },
  };
}

/** A row from what the model says of a step and what the clock says. */
export function metricsRow(
  step: number,
  metrics: StepMetrics,
  { begin, arrived, end }: { begin: number; arrived: number; end: number },
  counts: { batchSize: number; truncated: number | undefined; skippedSamples: number | undefined },
): MetricsRow {
  const ms = end - begin;
  const { batchSize, truncated, skippedSamples } = counts;
  return {
    step,
    ...metrics,
    samples_per_s: round((1000 * batchSize) / ms),
    step_ms: round(ms),
    data_ms: round(arrived - begin),
    ...(truncated === undefined ? {} : { truncated }),
    ...(skippedSamples ? { skipped_samples: skippedSamples } : {}),
    time: round(Date.now() / 1000),
  };
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
