/**
 * @file The one training artifact of a configuration: what `insula train` runs is what `insula export-artifact`
 * writes.
 */
import { type Artifact, type ArtifactOptions, buildArtifact } from "@insula/ki-model";
import { configModelType } from "@insula/model-types";
import type { RunConfig } from "./configs/types.js";
import { robotSpec } from "./data/robots.js";

/** Below this length a text is too short for buckets to pay. */
const MIN_BUCKETED_LENGTH = 128;

/** Only the robot's cameras, and text buckets at half and three quarters of the buffer. */
export function runArtifactOptions({
  model,
  data,
  batchSize,
  optimizer,
  emaDecay,
}: RunConfig): ArtifactOptions {
  const { maxTokenLen } = model;
  return {
    batchSize,
    imageKeys: robotSpec(data.robot).cameras(configModelType(model)),
    tokenBuckets:
      maxTokenLen < MIN_BUCKETED_LENGTH ? [] : [maxTokenLen / 2, (3 * maxTokenLen) / 4].map(Math.ceil),
    optimizer: { ...optimizer, emaDecay },
  };
}

/** Build it. */
export function buildRunArtifact(config: RunConfig): Artifact {
  return buildArtifact(config.model, runArtifactOptions(config));
}
