/** @file Action chunks from the weights of a training session, where they lie, with the same noise every time. */
import { createFastSampler, createSampler, type ExecutionOptions, type TrainSession } from "@insula/ki-model";
import { configModelType, type NdArray, type Sample } from "@insula/model-types";
import { collate } from "@insula/transforms";
import { runArtifactOptions } from "../artifact.js";
import type { RunConfig } from "../configs/types.js";
import type { Pipeline } from "../data/pipeline.js";
import { makeRng } from "../rng.js";
import { servedWeights } from "./served-weights.js";
import { tokenActions } from "./token-actions.js";

export interface ChunkSampler {
  /**
   * One chunk `[horizon, dim]` in the robot's units per model sample, and how many did not decode.
   * @param signal ends it between two batches; then undefined.
   */
  sample(
    inputs: readonly Sample[],
    signal?: AbortSignal,
  ): Promise<{ chunks: NdArray[]; notDecoded: number } | undefined>;
  release(): Promise<void>;
}

export interface ChunkSamplerOptions {
  config: RunConfig;
  session: TrainSession;
  pipeline: Pipeline;
  execution: ExecutionOptions;
  /** Chunks computed at once. */
  batchSize: number;
}

/** Graphs beside those of training; the parameters are the session's own. */
export async function openChunkSampler(options: ChunkSamplerOptions): Promise<ChunkSampler> {
  const { config, session, pipeline, execution, batchSize } = options;
  const { model } = config;
  const { imageKeys, computeType, freeze, frozenType } = runArtifactOptions(config);
  const shared = {
    config: model,
    params: session.params(servedWeights(config)),
    batchSize,
    ...(imageKeys ? { imageKeys } : {}),
    ...(computeType ? { computeType } : {}),
    ...(freeze ? { freeze } : {}),
    ...(frozenType ? { frozenType } : {}),
    ...execution,
  };
  const isFast = configModelType(model) === "pi0_fast";
  const open = isFast ? openTokens : openFlow;
  const { rows, release } = await open(shared, options);
  return {
    async sample(inputs, signal) {
      const chunks: NdArray[] = [];
      let notDecoded = 0;
      const noise = makeRng({ seed: config.seed, purpose: "validation-chunks" });
      for (let at = 0; at < inputs.length; at += batchSize) {
        if (signal?.aborted) return undefined;
        const real = inputs.slice(at, at + batchSize);
        // The graph's batch is fixed: the last one is filled up with copies.
        const batch = Array.from({ length: batchSize }, (_, i) => real[i] ?? real.at(-1)!);
        const data = await rows(batch, noise.normal);
        const size = data.length / batchSize;
        for (const [i, { state }] of real.entries()) {
          const row = data.slice(i * size, (i + 1) * size);
          const { actions, decoded } = isFast
            ? tokenActions(row as Int32Array, state as NdArray, { pipeline, model })
            : { actions: flowActions(row as Float32Array, state as NdArray, options), decoded: true };
          chunks.push(actions);
          if (!decoded) notDecoded += 1;
        }
      }
      return { chunks, notDecoded };
    },
    release,
  };
}

/** Most tokens that pi0_fast generates (openpi `models/pi0_fast.py`). */
const MAX_TOKENS = 256;

/** The model's answers for a batch, one after the other, and how to close it. */
interface Rows {
  rows(
    batch: readonly Sample[],
    normal: (out: Float32Array) => Float32Array,
  ): Promise<Float32Array | Int32Array>;
  release(): Promise<void>;
}

async function openFlow(
  shared: Parameters<typeof createSampler>[0],
  { config, batchSize }: ChunkSamplerOptions,
): Promise<Rows> {
  const sampler = await createSampler(shared);
  const { actionHorizon, actionDim } = config.model;
  const numSteps = config.validation.denoiseSteps;
  return {
    async rows(batch, normal) {
      const shape = [batchSize, actionHorizon, actionDim];
      const noise = { data: normal(new Float32Array(batchSize * actionHorizon * actionDim)), shape };
      return (await sampler.sample(collate(batch).observation, noise, { numSteps })).data;
    },
    release: sampler.release,
  };
}

async function openTokens(
  shared: Parameters<typeof createFastSampler>[0],
  { config }: ChunkSamplerOptions,
): Promise<Rows> {
  // An untrained model ends its answer rarely; the longest text that training sees is long enough.
  const maxDecodingSteps = Math.min(MAX_TOKENS, config.model.maxTokenLen);
  const sampler = await createFastSampler({ ...shared, maxDecodingSteps });
  return {
    rows: (batch) => sampler.sample(collate(batch).observation),
    release: sampler.release,
  };
}

function flowActions(data: Float32Array, state: NdArray, { config, pipeline }: ChunkSamplerOptions): NdArray {
  const { actionHorizon, actionDim } = config.model;
  const shape = [actionHorizon, actionDim];
  return pipeline.outputs({ state, actions: { data, shape } })["actions"] as NdArray;
}
