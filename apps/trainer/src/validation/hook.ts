/** @file Validation as a step of the training loop: when it is due, and where its results go. */
import type { RunConfig, ValidationMetric } from "../configs/types.js";
import { duration } from "../metrics/console.js";
import type { ValidationRow } from "../metrics/row.js";
import type { Summary } from "../metrics/tensorboard.js";
import type { StepHook } from "../train/parts.js";
import { chunkPicture } from "./picture.js";
import { writePredictions } from "./predictions.js";
import type { SampledChunk } from "./sampled-chunk.js";
import type { Validator } from "./validation.js";

/** Trajectories drawn for TensorBoard each time. */
const PICTURES = 3;

export interface ValidationHookOptions {
  config: RunConfig;
  /** What the best step has the lowest value of. */
  metric: ValidationMetric;
  validator: Validator;
  /** Names and units of the action dims. */
  dims: readonly string[];
  runDir: string;
  /** When aborted, a validation is left; its step then has none. */
  signal?: AbortSignal;
  clock?: () => number;
}

/**
 * Validate after every `validation.interval`-th step: a row in `metrics.jsonl`, `val/…` in TensorBoard, a line, the
 * sampled chunks as files, and the value of `validation.metric` for the loop, which keeps the best step.
 */
export function validationHook(options: ValidationHookOptions): StepHook {
  const { config, metric, validator, dims, runDir, signal, clock = () => performance.now() } = options;
  let described = false;
  return async ({ row: { step }, recorder, best: before, validated }) => {
    if (!isDue(config, step)) return;
    const begin = clock();
    const found = await validator.run(signal).catch((error: Error) => {
      recorder.log(`warning: step ${step}: validation failed, training goes on: ${error.message}`);
      return undefined;
    });
    if (!found) return;
    const value = found.row[`val_${metric}`]!;
    const isBest = Number.isFinite(value) && !(before && before.value <= value);
    const best = isBest ? { step, value } : before;
    const row: ValidationRow = {
      ...found.row,
      step,
      val_metric: metric,
      ...(best ? { val_best: best.value, val_best_step: best.step } : {}),
      val_ms: Math.round(clock() - begin),
      time: Number((Date.now() / 1000).toFixed(3)),
    };
    recorder.validation(row);
    recorder.log(validationLine(row, metric));
    const summary = summaryOf(row, found.chunks, dims);
    recorder.events.write(step, row.time, described ? { ...summary, texts: {} } : summary);
    described = true;
    if (found.chunks.length > 0) {
      await writePredictions(runDir, { step, dims, chunks: found.chunks }).catch((error: Error) =>
        recorder.log(`warning: step ${step}: the sampled actions could not be written: ${error.message}`),
      );
    }
    if (isBest) validated(value);
  };
}

/** Whether the configuration has a validation after `step`. */
export function isDue({ validation: { interval } }: Pick<RunConfig, "validation">, step: number): boolean {
  return interval !== null && step % interval === 0;
}

/** What a person reads of a validation. */
export function validationLine(row: ValidationRow, metric: ValidationMetric): string {
  const parts = [
    `validation step ${row.step}`,
    `total ${row.val_total.toFixed(4)}`,
    ...(row.val_fast_loss === undefined ? [] : [`fast_loss ${row.val_fast_loss.toFixed(4)}`]),
    ...(row.val_action_loss === undefined ? [] : [`action_loss ${row.val_action_loss.toFixed(4)}`]),
    ...(row.val_fast_accuracy === undefined ? [] : [`fast_acc ${(100 * row.val_fast_accuracy).toFixed(1)}%`]),
    ...(row.val_action_error === undefined
      ? []
      : [`action error ${row.val_action_error.toFixed(3)} of the mean action's`]),
    ...(row.val_not_decoded ? [`${row.val_not_decoded} of ${row.val_chunks} chunks did not decode`] : []),
    ...(row.val_best_step === undefined
      ? []
      : [
          row.val_best_step === row.step
            ? `best ${metric} so far`
            : `best ${metric} ${row.val_best!.toPrecision(3)} at step ${row.val_best_step}`,
        ]),
    duration(row.val_ms / 1000),
  ];
  return parts.join("  ");
}

function summaryOf(
  row: ValidationRow,
  chunks: readonly SampledChunk[],
  dims: readonly string[],
): Required<Pick<Summary, "scalars" | "images" | "texts">> {
  const shown = chunks.slice(0, PICTURES);
  const perDim = row.val_action_error_dims?.map(
    (error, d) => [`val/action_error/${dims[d]}`, error] as const,
  );
  return {
    scalars: {
      "val/total": row.val_total,
      "val/fast_loss": row.val_fast_loss,
      "val/action_loss": row.val_action_loss,
      "val/fast_accuracy": row.val_fast_accuracy,
      "val/action_error": row.val_action_error,
      ...Object.fromEntries(perDim ?? []),
    },
    images: Object.fromEntries(shown.map((chunk, i) => [`val/trajectory/${i + 1}`, chunkPicture(chunk)])),
    texts: shown.length > 0 ? { "val/trajectories": legend(shown, dims) } : {},
  };
}

/** Which trajectory is which, in Markdown. */
function legend(chunks: readonly SampledChunk[], dims: readonly string[]): string {
  return [
    "Gray: recorded. Blue: sampled from the present weights. At the right of each panel: the ends of its scale.",
    "",
    ...chunks.map(
      ({ episode, frame, prompt }, i) =>
        `${i + 1}. episode ${episode}, frame ${frame}: ${prompt.replaceAll(/([\\`*_{}[\]<>#|])/g, "\\$1")}`,
    ),
    "",
    "Panels:",
    "",
    ...dims.map((name, d) => `${d + 1}. ${name}`),
  ].join("\n");
}
