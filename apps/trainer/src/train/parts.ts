/** @file What a run is made of and what may be hooked into it. */
import type { FlowDraws, TrainBatch, TrainSession } from "@insula/ki-model";
import type { Best, Checkpoint } from "../checkpoint/types.js";
import type { RunConfig } from "../configs/types.js";
import type { MetricsRow } from "../metrics/row.js";
import type { RunDir } from "../run-dir.js";
import type { Recorder } from "./recorder.js";

/** Where a sample of a batch comes from. */
export interface SampleOrigin {
  episode: number;
  frame: number;
}

/** A batch and the loader state from which the one after it follows. */
export interface LoadedBatch {
  batch: TrainBatch;
  after: unknown;
  /** Per sample, where that is known: for messages about bad ones. */
  origins?: readonly SampleOrigin[];
  /** Samples since the batches were opened whose tokens were cut, those of this one included. */
  truncated?: number;
  /** Likewise, samples that could not be read and were replaced. */
  skippedSamples?: number;
}

/** Batches in a reproducible order. */
export interface TrainBatches {
  next(): Promise<LoadedBatch>;
  close(): Promise<void>;
}

/** A step that has been taken, before anything is saved. */
export interface StepDone {
  row: MetricsRow;
  batch: TrainBatch;
  draws: FlowDraws;
  session: TrainSession;
  recorder: Recorder;
  /** The best step before this one. */
  best: Best | undefined;
  /**
   * Tell the validation value of this step, the lower the better. A new best one is saved at once, and
   * `checkpoints/best` leads to it.
   */
  validated(value: number): void;
}

/** Called after every step, one after the other. It must not draw from the run's generators. */
export type StepHook = (done: StepDone) => Promise<void>;

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
  /** Bytes that the plan said the model would take: the end of a run compares. */
  planned?: number;
  /** Validation, pictures: whatever looks at a run without changing it. */
  hooks?: readonly StepHook[];
  /** Told what goes on besides steps and hooks, `saving`; undefined when that is over. */
  activity?(what: string | undefined): void;
  /** Find what first went wrong in a step whose gradient is not finite, as a clause for the log. */
  diagnose?(loaded: LoadedBatch, draws: FlowDraws, row: MetricsRow): Promise<string | undefined>;
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
