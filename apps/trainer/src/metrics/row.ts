/** @file The rows of `metrics.jsonl`: one per training step, and one per validation, told apart by `kind`. */
import type { StepMetrics, Weights } from "@insula/ki-model";
import type { ValidationMetric } from "../configs/types.js";

/** Everything that is known of one training step. */
export interface MetricsRow extends StepMetrics {
  /** Only other kinds of rows have one. */
  kind?: never;
  /** Optimizer steps taken, this one included: the first row is 1. */
  step: number;
  samples_per_s: number;
  /** Wall time of the step, waiting for data included. */
  step_ms: number;
  /** Part of `step_ms` spent waiting for data. */
  data_ms: number;
  /** Samples cut to maxTokenLen so far in the run, those read ahead included. */
  truncated?: number;
  /** Samples so far in the run that could not be read and were replaced (`data.onCorrupt` skip); absent while none. */
  skipped_samples?: number;
  /** Seconds since 1970. */
  time: number;
}

/** What held-out episodes say of the weights after a step. */
export interface ValidationRow {
  kind: "validation";
  step: number;
  /** Those that a checkpoint serves: the average where there is one. */
  val_weights: Weights;
  /** Means over `val_frames` held-out frames; losses that the model type does not have are absent. */
  val_total: number;
  val_action_loss?: number;
  val_fast_loss?: number;
  val_fast_accuracy?: number;
  val_frames: number;
  /** Mean over dims of the sampled actions' error, relative to that of the mean action. Absent without sampling. */
  val_action_error?: number;
  /** Mean absolute error per action dim, in the robot's units, and that of always answering with the mean action. */
  val_action_error_dims?: number[];
  val_mean_action_error_dims?: number[];
  /** Chunks sampled; of pi0_fast, those whose tokens did not decode. */
  val_chunks?: number;
  val_not_decoded?: number;
  /** What decides the best step, its lowest value so far, and the step of that. */
  val_metric: ValidationMetric;
  val_best?: number;
  val_best_step?: number;
  /** Wall time. */
  val_ms: number;
  /** Seconds since 1970. */
  time: number;
}
