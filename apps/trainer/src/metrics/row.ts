/** @file One row of `metrics.jsonl`: everything that is known of one training step. */
import type { StepMetrics } from "@insula/ki-model";

export interface MetricsRow extends StepMetrics {
  /** Optimizer steps taken, this one included: the first row is 1. */
  step: number;
  samples_per_s: number;
  /** Wall time of the step, waiting for data included. */
  step_ms: number;
  /** Part of `step_ms` spent waiting for data. */
  data_ms: number;
  /** Samples cut to maxTokenLen so far in the run, those read ahead included. */
  truncated?: number;
  /** Seconds since 1970. */
  time: number;
}
