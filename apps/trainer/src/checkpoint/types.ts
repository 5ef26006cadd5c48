/** @file What a checkpoint holds. */
import type { TrainState } from "@insula/ki-model";
import type { RunConfig } from "../configs/types.js";
import type { RngState } from "../rng.js";

/** The best validation value so far, and the step that it is of. */
export interface Best {
  step: number;
  value: number;
}

/** What a run needs besides the model's state to continue exactly. */
export interface Progress {
  /** Generators by purpose. */
  rng: Record<string, RngState>;
  /** The data loader's own state, opaque here. */
  loader: unknown;
  /** The best validation value so far. */
  best?: Best;
}

export interface Checkpoint {
  config: RunConfig;
  state: TrainState;
  progress: Progress;
  /** Further files by relative path: `assets/droid/norm_stats.json`, `tokenizers/…`. */
  files: ReadonlyMap<string, Uint8Array | string>;
}
