/**
 * @file The one training artifact of a configuration: what `insula train` runs is what `insula export-artifact`
 * writes.
 */
import { type Artifact, type ArtifactOptions, buildArtifact, partOptions } from "@insula/ki-model";
import { configModelType } from "@insula/model-types";
import { parseDevice } from "@insula/ort-session";
import type { RunConfig } from "./configs/types.js";
import { robotSpec } from "./data/robots.js";

/** Below this length a text is too short for buckets to pay. */
const MIN_BUCKETED_LENGTH = 128;

/**
 * Only the robot's cameras, and text buckets at the quarters of the buffer. On CUDA there are no buckets: the sessions
 * of each would hold memory of their own there.
 */
export function runArtifactOptions({
  model,
  data,
  batchSize,
  gradientAccumulation,
  flowDraws,
  insulate,
  optimizer,
  emaDecay,
  device,
  computeType,
  train,
  freeze,
  frozenType,
  lossRows,
  rematerialize,
}: RunConfig): ArtifactOptions {
  const { maxTokenLen } = model;
  const part = partOptions(model, train);
  const frozen = [...part.freeze, ...freeze];
  const bucketed = maxTokenLen >= MIN_BUCKETED_LENGTH && parseDevice(device).type === "cpu";
  return {
    batchSize,
    imageKeys: robotSpec(data.robot).cameras(configModelType(model)),
    tokenBuckets: bucketed ? [1, 2, 3].map((n) => Math.ceil((n * maxTokenLen) / 4)) : [],
    optimizer: { ...optimizer, emaDecay },
    ...(gradientAccumulation === 1 ? {} : { gradientAccumulation }),
    ...(flowDraws === 1 ? {} : { flowDraws }),
    ...(insulate ? {} : { insulate }),
    ...(computeType === "float32" ? {} : { computeType }),
    ...(frozen.length > 0 ? { freeze: frozen, frozenType } : {}),
    ...(part.only ? { only: part.only } : {}),
    ...(lossRows === null ? {} : { lossRows: Math.min(lossRows, maxTokenLen - 1) }),
    ...(rematerialize === "auto" || rematerialize === false ? {} : { rematerialize }),
  };
}

/** Build it. `auto` rematerialises nothing: a run says what its plan chose. */
export function buildRunArtifact(config: RunConfig): Artifact {
  return buildArtifact(config.model, runArtifactOptions(config));
}
