/**
 * @file Action sampling: the prefix once, then Euler steps from noise (t = 1) to actions (t = 0).
 */
import {
  configModelType,
  InsulaError,
  type ModelConfig,
  type NdArray,
  type Observation,
  sizeOf,
} from "@insula/model-types";
import { type Device, type Session, type Tensor, tensor } from "@insula/ort-session";
import { observationFeeds, pickFeeds } from "../feeds.js";
import { toGraphParams } from "../params/layout.js";
import { paramSpecs } from "../params/spec.js";
import type { ParamTree } from "../train-session.js";
import { buildDenoiseModel, buildPrefixModel, type InferenceOptions, serializeModel } from "./models.js";
import { checkSteps, openPair } from "./sessions.js";

/** What to sample from, a model with an action expert (pi0, pi05, pi05_ki), and where its graphs run. */
export interface SamplerOptions extends InferenceOptions {
  config: ModelConfig;
  params: ParamTree;
  device?: Device;
  /** Threads within an operator; default one per core. */
  threads?: number;
}

/** Action sampling by flow matching: the VLM runs once per call, the expert at every Euler step. */
export interface Sampler {
  /**
   * Sample actions.
   * @param noise `[b, h, d]`, N(0, 1)
   * @param options.numSteps Euler steps, default 10
   * @returns `[b, h, d]`, normalised
   * @throws InsulaError `sampler/steps` when `numSteps` is not a positive integer, `sampler/noise` when the noise has
   *   another shape
   */
  sample(
    observation: Observation,
    noise: NdArray<Float32Array>,
    options?: { numSteps?: number },
  ): Promise<NdArray<Float32Array>>;
  /** Close both sessions; nothing can be sampled afterwards. */
  release(): Promise<void>;
}

/** FAST tokens are training targets; were any in the observation, the expert must not see them. */
function promptOnly(observation: Observation): Observation {
  const { tokenArMask: ar, tokenizedPromptMask: mask } = observation;
  if (!ar || !mask) return observation;
  return {
    ...observation,
    tokenizedPromptMask: { data: mask.data.map((m, i) => (ar.data[i] ? 0 : m)), shape: mask.shape },
  };
}

/** A sampler over fresh sessions; when it cannot be made, none is left open. */
export async function createSampler({
  config,
  params,
  device = "cpu",
  threads,
  ...options
}: SamplerOptions): Promise<Sampler> {
  const sessionOptions = { device, ...(threads ? { threads } : {}) };
  const weights = new Map(
    [...toGraphParams(paramSpecs(config), params)].map(([name, { data, shape }]) => [
      name,
      tensor(data, shape),
    ]),
  );
  const isParam = (name: string) => weights.has(name);
  const withParams = (session: Session, feeds: Record<string, Tensor>) => {
    for (const { name } of session.inputs) if (isParam(name)) feeds[name] = weights.get(name)!;
    return feeds;
  };
  const needsState = configModelType(config) === "pi0";
  const sessions = await openPair(
    serializeModel(buildPrefixModel(config, options), "prefix_model").bytes,
    serializeModel(buildDenoiseModel(config, options), "denoise_model").bytes,
    sessionOptions,
  );
  const { first: prefix, second: denoise } = sessions;
  const noiseShape = [options.batchSize, config.actionHorizon, config.actionDim];
  return {
    async sample(observation, noise, { numSteps = 10 } = {}) {
      checkSteps("numSteps", numSteps);
      checkNoise(noise, noiseShape);
      const given = observationFeeds(promptOnly(observation));
      const cache = await prefix.run(withParams(prefix, pickFeeds(prefix.inputs, given, isParam)));
      const x = noise.data.slice();
      const [b] = noise.shape as [number];
      const dt = Math.fround(-1 / numSteps);
      // openpi: float32 time, from 1 while t ≥ -dt/2.
      for (let t = 1; t >= -dt / 2; t = Math.fround(t + dt)) {
        const feeds: Record<string, Tensor> = {
          ...cache,
          x_t: tensor(x, noise.shape),
          time: tensor(new Float32Array(b).fill(t), [b]),
          ...(needsState ? { state: given["state"]! } : {}),
        };
        const { v_t } = await denoise.run(withParams(denoise, feeds));
        const v = v_t!.data as Float32Array;
        for (let i = 0; i < x.length; i++) x[i] = Math.fround(x[i]! + Math.fround(dt * v[i]!));
      }
      return { data: x, shape: noise.shape };
    },
    release: () => sessions.release(),
  };
}

function checkNoise({ data, shape }: NdArray, expected: readonly number[]): void {
  const fits = shape.length === expected.length && expected.every((d, i) => shape[i] === d);
  if (fits && data.length === sizeOf(expected)) return;
  throw new InsulaError(
    "sampler/noise",
    `sampler: noise: expected [${expected.join(", ")}] (batchSize, actionHorizon, actionDim), found ` +
      `[${shape.join(", ")}] with ${data.length} elements`,
  );
}
