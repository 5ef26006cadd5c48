/** @file Which weights are validated. */
import type { Weights } from "@insula/ki-model";
import type { RunConfig } from "../configs/types.js";

/** Those that a checkpoint serves: the average where there is one. */
export function servedWeights({ emaDecay }: Pick<RunConfig, "emaDecay">): Weights {
  return emaDecay === null ? "raw" : "ema";
}
