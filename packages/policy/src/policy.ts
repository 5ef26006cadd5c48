/**
 * @file A trained model as a policy (openpi `policies/policy.py`): a robot's observation in, its actions out.
 */

import { createSampler, type ParamTree } from "@insula/ki-model";
import { InsulaError, type ModelConfig, type NdArray, type Sample } from "@insula/model-types";
import { collate, compose, type Transform } from "@insula/transforms";

/**
 * A trained model and the robot around it. The transforms must be those of training, with the statistics that
 * the checkpoint carries: those of another robot with as many joints show as bad actions, not as an error.
 */
export interface PolicyOptions {
  config: ModelConfig;
  params: ParamTree;
  /** The robot's observation → the model's sample: robot inputs, normalisation, model transforms, in that order. */
  inputs: readonly Transform[];
  /** The model's `{ state, actions }` → the robot's: unnormalisation, then the robot's outputs. */
  outputs: readonly Transform[];
  /** Standard normal draws for the flow's starting noise, `[horizon · dim]` at a time. */
  normal: (out: Float32Array) => Float32Array;
  /** Cameras that the robot has, in token order; default all of the model's. */
  imageKeys?: readonly string[];
  /** Euler steps; default 10. */
  numSteps?: number;
  device?: "cpu" | "cuda";
  threads?: number;
  /** Milliseconds, monotonic. */
  clock?: () => number;
}

/** What `infer` adds to the robot's outputs. */
export interface PolicyTiming {
  /** Model time, measured when the actions are on the host. */
  infer_ms: number;
}

/** A model ready to act: observations as the robot sends them, actions in the robot's own units. */
export interface Policy {
  /**
   * Actions for one observation.
   * @param options.noise `[horizon, dim]`; default: drawn from the policy's generator
   * @throws InsulaError of the first transform that the observation does not suit
   */
  infer(observation: Sample, options?: { noise?: NdArray<Float32Array> }): Promise<Sample>;
  /** Close the model's sessions, once the last `infer` has resolved. */
  release(): Promise<void>;
}

/** Open the model's sessions once; `infer` may be called as often as needed, one call at a time. */
export async function createPolicy(options: PolicyOptions): Promise<Policy> {
  const {
    config,
    params,
    normal,
    imageKeys,
    numSteps = 10,
    device,
    threads,
    clock = () => performance.now(),
  } = options;
  const { actionHorizon, actionDim } = config;
  const inputs = compose(options.inputs);
  const outputs = compose(options.outputs);
  const sampler = await createSampler({
    config,
    params,
    batchSize: 1,
    ...(imageKeys ? { imageKeys } : {}),
    ...(device ? { device } : {}),
    ...(threads ? { threads } : {}),
  });
  return {
    async infer(observation, { noise } = {}) {
      // Actions are what is asked for: were any in the observation, the tokenizer would write them into the prompt.
      const { actions: _, ...seen } = observation;
      const sample = inputs(seen);
      const start = checkNoise(noise, actionHorizon, actionDim) ?? {
        data: normal(new Float32Array(actionHorizon * actionDim)),
        shape: [actionHorizon, actionDim],
      };
      const begin = clock();
      const actions = await sampler.sample(
        collate([sample]).observation,
        { data: start.data, shape: [1, ...start.shape] },
        { numSteps },
      );
      const infer_ms = clock() - begin;
      const result = outputs({
        state: sample["state"]!,
        actions: { data: actions.data, shape: [actionHorizon, actionDim] },
      });
      return { ...result, policy_timing: { infer_ms } };
    },
    release: () => sampler.release(),
  };
}

function checkNoise(
  noise: NdArray<Float32Array> | undefined,
  h: number,
  d: number,
): NdArray<Float32Array> | undefined {
  if (noise && noise.shape.join() !== `${h},${d}`) {
    throw new InsulaError(
      "policy/noise",
      `policy: noise: expected [${h}, ${d}], found [${noise.shape.join(", ")}]`,
    );
  }
  return noise;
}
