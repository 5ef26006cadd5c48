/**
 * @file A checkpoint as a policy: weights, statistics and tokenizers that it carries, and the transforms around
 * them in openpi's order (`policies/policy_config.py` `create_trained_policy`).
 */
import { join } from "node:path";
import { configModelType, type InsulaError } from "@insula/model-types";
import { createPolicy, type Policy } from "@insula/policy";
import { injectDefaultPrompt } from "@insula/transforms";
import { readNormStats } from "@insula/transforms/node";
import type { Backend } from "../backend.js";
import { findCheckpoint, readCheckpointConfig, readParams } from "../checkpoint.js";
import type { RunConfig } from "../configs/types.js";
import { outputsOrMiddle } from "../data/fast-outputs.js";
import { makePipeline, type Pipeline } from "../data/pipeline.js";
import { type RobotSpec, robotSpec } from "../data/robots.js";
import { loadTokenizers, tokenizerPaths } from "../data/tokenizers.js";
import { makeRng } from "../rng.js";

export interface LoadPolicyOptions {
  /** A run's folder (then its latest step) or the folder of one step. */
  checkpoint: string;
  backend: Backend;
  threads?: number;
  /** Seed of the noise; default: the run's. */
  seed?: number;
  /** Denoising steps; default 10. */
  numSteps?: number;
  /** Batch sizes to open; default only 1. */
  batchSizes?: readonly number[];
  /** Batches computed at the same time; default 1. */
  parallel?: number;
  /** For observations without a prompt; wins over the configuration's. */
  defaultPrompt?: string;
  /** `task_index` → instruction, for samples of a dataset. */
  tasks?: ReadonlyMap<number, string>;
  /** Told when π0-FAST's tokens were no actions and the middle of the normalisation was returned instead. */
  onNotDecoded?(reason: InsulaError): void;
}

export interface LoadedPolicy {
  policy: Policy;
  /** The folder of the step. */
  checkpoint: string;
  config: RunConfig;
  spec: RobotSpec;
  /** Dataset sample → the robot's keys, as clients send them. */
  repack: Pipeline["repack"];
}

/** Open a checkpoint. @throws InsulaError `checkpoint/missing`, and those of statistics, tokenizers and sessions */
export async function loadPolicy(options: LoadPolicyOptions): Promise<LoadedPolicy> {
  const { backend, threads, numSteps, batchSizes, parallel, defaultPrompt } = options;
  const checkpoint = await findCheckpoint(options.checkpoint);
  const config = await readCheckpointConfig(checkpoint);
  const spec = robotSpec(config.data.robot);
  const stats = await readNormStats(join(checkpoint, "assets", config.data.assetId));
  const tokenizers = await loadTokenizers(tokenizerPaths(join(checkpoint, "tokenizers")), config);
  const tasks = options.tasks ?? new Map<number, string>();
  const pipeline = makePipeline({ config, spec, stats, tokenizers, tasks });
  const policy = await createPolicy({
    config: config.model,
    params: await readParams(checkpoint),
    inputs: [injectDefaultPrompt(defaultPrompt), pipeline.inputs],
    outputs: [outputsOrMiddle(pipeline, config.model, options.onNotDecoded ?? (() => undefined))],
    normal: makeRng({ seed: options.seed ?? config.seed, purpose: "policy" }).normal,
    imageKeys: spec.cameras(configModelType(config.model)),
    ...backend,
    ...(threads === undefined ? {} : { threads }),
    ...(numSteps === undefined ? {} : { numSteps }),
    ...(batchSizes === undefined ? {} : { batchSizes }),
    ...(parallel === undefined ? {} : { parallel }),
  });
  return { policy, checkpoint, config, spec, repack: pipeline.repack };
}
