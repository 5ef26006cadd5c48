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
import { type Binding, tensor, zerosTensor } from "@insula/ort-session";
import {
  bound,
  type DeviceTensors,
  type ExecutionOptions,
  executionOptions,
  placeTensors,
  releaseAll,
} from "../device-tensors.js";
import { observationFeeds, pickFeeds } from "../feeds.js";
import type { DeviceParams, ParamTree } from "../train-session.js";
import { buildDenoiseModel, buildPrefixModel, type InferenceOptions, serializeModel } from "./models.js";
import { checkSteps, inTurn, openPair, type SessionPair } from "./sessions.js";

/** What to sample from, a model with an action expert (pi0, pi05, pi05_ki), and where its graphs run. */
export interface SamplerOptions extends InferenceOptions, ExecutionOptions {
  config: ModelConfig;
  /** By openpi's names, copied to the device; or those of a training session, used where they lie. */
  params: ParamTree | DeviceParams;
}

/** Action sampling by flow matching: the VLM runs once per call, the expert at every Euler step. */
export interface Sampler {
  /**
   * Sample actions. Calls are answered one after the other.
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
  /** Close both sessions and free the parameters, after the calls that were made before; none can follow. */
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
  device,
  runtime,
  threads,
  cuda,
  cacheDir,
  ...options
}: SamplerOptions): Promise<Sampler> {
  const execution = executionOptions({ device, runtime, threads, cuda, cacheDir } as ExecutionOptions);
  const pair = await openPair(
    serializeModel(buildPrefixModel(config, options), "prefix_model").bytes,
    serializeModel(buildDenoiseModel(config, options), "denoise_model").bytes,
    { config, params, ...execution },
  );
  const { first: prefix, weights } = pair;
  const { encode, velocity, cache } = await tie(pair, execution).catch(async (error) => {
    await pair.release();
    throw error;
  });
  const isParam = (name: string) => weights.byName.has(name);
  const needsState = configModelType(config) === "pi0";
  const noiseShape = [options.batchSize, config.actionHorizon, config.actionDim];
  const turn = inTurn();

  const sample = async (
    observation: Observation,
    noise: NdArray<Float32Array>,
    numSteps: number,
  ): Promise<NdArray<Float32Array>> => {
    const given = observationFeeds(promptOnly(observation));
    await encode.run(pickFeeds(prefix.inputs, given, isParam));
    const x = noise.data.slice();
    const time = new Float32Array(options.batchSize);
    const feeds = {
      x_t: tensor(x, noise.shape),
      time: tensor(time, [options.batchSize]),
      ...(needsState ? { state: given["state"]! } : {}),
    };
    const dt = Math.fround(-1 / numSteps);
    // openpi: float32 time, from 1 while t ≥ -dt/2.
    for (let t = 1; t >= -dt / 2; t = Math.fround(t + dt)) {
      time.fill(t);
      const { v_t } = await velocity.run(feeds);
      const v = v_t!.data as Float32Array;
      for (let i = 0; i < x.length; i++) x[i] = Math.fround(x[i]! + Math.fround(dt * v[i]!));
    }
    return { data: x, shape: noise.shape };
  };
  return {
    async sample(observation, noise, { numSteps = 10 } = {}) {
      checkSteps("numSteps", numSteps);
      checkNoise(noise, noiseShape);
      return turn(() => sample(observation, noise, numSteps));
    },
    release: () => turn(() => releaseAll([pair, cache])),
  };
}

/**
 * Bind both graphs. Keys, values and mask of the prefix never leave the device: one graph writes them, the other
 * reads them.
 */
async function tie(
  { first: prefix, second: denoise, weights }: SessionPair,
  options: ExecutionOptions,
): Promise<{ encode: Binding; velocity: Binding; cache: DeviceTensors }> {
  const slots = prefix.outputs.map(({ name, type, shape }) => [name, zerosTensor(type, shape)] as const);
  const cache = await placeTensors(slots, options);
  try {
    const encode = prefix.bind({
      inputs: bound(prefix.inputs, weights),
      outputs: bound(prefix.outputs, cache),
    });
    const velocity = denoise.bind({
      inputs: { ...bound(denoise.inputs, weights), ...bound(denoise.inputs, cache) },
    });
    return { encode, velocity, cache };
  } catch (error) {
    cache.release();
    throw error;
  }
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
