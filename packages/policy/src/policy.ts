/**
 * @file A trained model as a policy (openpi `policies/policy.py`): a robot's observation in, its actions out.
 */

import type { ExecutionOptions, ParamTree } from "@insula/ki-model";
import {
  configModelType,
  InsulaError,
  type ModelConfig,
  type NdArray,
  type Sample,
} from "@insula/model-types";
import { collate, compose, type Transform } from "@insula/transforms";
import { type Engine, openLanes } from "./engine.js";

/**
 * A trained model and the robot around it. The transforms must be those of training, with the statistics that
 * the checkpoint carries: those of another robot with as many joints show as bad actions, not as an error.
 */
export interface PolicyOptions extends ExecutionOptions {
  config: ModelConfig;
  params: ParamTree;
  /** The robot's observation → the model's sample: robot inputs, normalisation, model transforms, in that order. */
  inputs: readonly Transform[];
  /** The model's `{ state, actions }` → the robot's: unnormalisation, then the robot's outputs. */
  outputs: readonly Transform[];
  /** Standard normal draws for the flow's starting noise, `[horizon · dim]` at a time, one call per observation. */
  normal: (out: Float32Array) => Float32Array;
  /** Cameras that the robot has, in token order; default all of the model's. */
  imageKeys?: readonly string[];
  /** Euler steps; default 10. */
  numSteps?: number;
  /**
   * Sizes of batches that {@link Policy.run} computes at once; default `[1]`. All share the parameters. A batch between
   * two sizes is filled up with copies.
   */
  batchSizes?: readonly number[];
  /**
   * Batches that {@link Policy.run} computes at the same time; default 1. All share the parameters. On a CPU they divide
   * the cores, unless `threads` is given, which serves more requests per second than one batch on all cores after the
   * other; whoever comes while nothing else is computed has all cores.
   */
  parallel?: number;
  /**
   * Text lengths with graphs of their own, which prompts that fit take: the same actions sooner. All are opened at
   * once, so no request waits for one. Default: on the CPU a quarter and half of `maxTokenLen`, on a GPU none.
   */
  tokenBuckets?: readonly number[];
  /** Milliseconds, monotonic. */
  clock?: () => number;
}

/** What `infer` adds to the robot's outputs. A `type`, so that it is a `Sample`. */
export type PolicyTiming = {
  /** Time in the model, without waiting for other calls, measured when the actions are on the host. */
  infer_ms: number;
};

/** What one call may decide. */
export interface InferOptions {
  /** `[horizon, dim]`; default: drawn from the policy's generator. */
  noise?: NdArray<Float32Array>;
}

/** An observation that is ready for the model: what {@link Policy.prepare} returns. */
export interface Prepared {
  readonly sample: Sample;
  /** `[horizon, dim]` */
  readonly noise: NdArray<Float32Array>;
}

/** A model ready to act: observations as the robot sends them, actions in the robot's own units. */
export interface Policy {
  /** Most observations that one {@link run} takes. */
  readonly maxBatch: number;
  /** Calls of {@link run} that compute at the same time; further ones wait. */
  readonly maxParallel: number;
  /**
   * Actions for one observation: {@link prepare}, then {@link run}.
   * @throws InsulaError of the first transform that the observation does not suit, `policy/noise` for noise of
   *   another shape
   */
  infer(observation: Sample, options?: InferOptions): Promise<Sample>;
  /** The input transforms alone, on this thread; draws the noise. Throws as {@link infer}. */
  prepare(observation: Sample, options?: InferOptions): Prepared;
  /**
   * The model and the output transforms: one result per observation, in order. All results of a batch carry the
   * time of the batch.
   * @throws InsulaError `policy/batch` for none or more than `maxBatch`
   */
  run(batch: readonly Prepared[]): Promise<Sample[]>;
  /** Close the model's sessions, after the calls that were made before; none can follow. */
  release(): Promise<void>;
}

/** Open the model's sessions once; `infer` may be called as often as needed. */
export async function createPolicy(options: PolicyOptions): Promise<Policy> {
  const { normal, clock = () => performance.now(), batchSizes = [1], parallel = 1, ...rest } = options;
  const { inputs: into, outputs: from, ...engineOptions } = rest;
  const { actionHorizon, actionDim } = options.config;
  const drawsNoise = configModelType(options.config) !== "pi0_fast";
  const noiseShape = [actionHorizon, actionDim];
  const inputs = compose(into);
  const outputs = compose(from);
  const lanes = await openLanes(engineOptions, batchSizes, parallel);
  const { maxBatch } = lanes;

  const prepare = (observation: Sample, { noise }: InferOptions = {}): Prepared => {
    checkNoise(noise, noiseShape);
    // Actions are what is asked for: were any in the observation, the tokenizer would write them into the prompt.
    const { actions: _, ...seen } = observation;
    const sample = inputs(seen);
    if (noise) return { sample, noise };
    const data = new Float32Array(actionHorizon * actionDim);
    return { sample, noise: { data: drawsNoise ? normal(data) : data, shape: noiseShape } };
  };

  const compute = async (batch: readonly Prepared[], engine: Engine): Promise<Sample[]> => {
    const full = Array.from({ length: engine.batchSize }, (_, i) => batch[i] ?? batch.at(-1)!);
    const { observation } = collate(full.map((p) => p.sample));
    const noise = {
      data: new Float32Array(full.length * actionHorizon * actionDim),
      shape: [full.length, ...noiseShape],
    };
    for (const [i, p] of full.entries()) noise.data.set(p.noise.data, i * p.noise.data.length);
    const begin = clock();
    const rows = await engine.run(observation, noise);
    const policy_timing: PolicyTiming = { infer_ms: clock() - begin };
    const size = rows.length / full.length;
    return batch.map(({ sample }, i) => {
      const actions = { data: rows.slice(i * size, (i + 1) * size), shape: engine.rowShape };
      return { ...outputs({ state: sample["state"]!, actions }), policy_timing };
    });
  };

  const run = async (batch: readonly Prepared[]): Promise<Sample[]> => {
    if (batch.length === 0 || batch.length > maxBatch) {
      throw new InsulaError(
        "policy/batch",
        `policy: run: expected 1 to ${maxBatch} observations, found ${batch.length}; batchSizes sets the most`,
      );
    }
    return lanes.run(batch.length, (engine) => compute(batch, engine));
  };
  return {
    maxBatch,
    maxParallel: lanes.parallel,
    prepare,
    run,
    infer: async (observation, infer) => (await run([prepare(observation, infer)]))[0]!,
    release: () => lanes.release(),
  };
}

function checkNoise(noise: NdArray | undefined, expected: readonly number[]): void {
  if (noise === undefined) return;
  const fits = noise.shape.join() === expected.join() && noise.data instanceof Float32Array;
  if (fits) return;
  throw new InsulaError(
    "policy/noise",
    `policy: noise: expected [${expected.join(", ")}], found [${noise.shape.join(", ")}]` +
      (noise.data instanceof Float32Array ? "" : ` of ${noise.data.constructor.name}, not float32`),
  );
}
