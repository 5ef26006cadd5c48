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
import { type Binding, type Slot, tensor, zerosTensor } from "@insula/ort-session";
import {
  bound,
  type DeviceTensors,
  type ExecutionOptions,
  executionOptions,
  placeTensors,
  releaseAll,
} from "../device-tensors.js";
import { observationFeeds, pickFeeds } from "../feeds.js";
import { checkBuckets, cutText, textLength } from "../text-length.js";
import type { DeviceParams, ParamTree } from "../train-session.js";
import { buildDenoiseModel, buildPrefixModel, type InferenceOptions, serializeModel } from "./models.js";
import { checkSteps, inTurn, openPair, placeParams } from "./sessions.js";

/** What to sample from, a model with an action expert (pi0, pi05, pi05_ki), and where its graphs run. */
export interface SamplerOptions extends InferenceOptions, ExecutionOptions {
  config: ModelConfig;
  /** By openpi's names, copied to the device; or those of a training session, used where they lie. */
  params: ParamTree | DeviceParams;
  /**
   * Text lengths below `maxTokenLen` that have graphs of their own, for batches whose texts are no longer: the same
   * actions with less padding. They share the parameters and, on the CPU, their memory. Default: none.
   */
  tokenBuckets?: readonly number[];
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

/**
 * A sampler over fresh sessions; when it cannot be made, none is left open.
 * @throws InsulaError `model/token-buckets` for a length that is not between 2 and `maxTokenLen - 1`
 */
export async function createSampler(options: SamplerOptions): Promise<Sampler> {
  const { config, params, batchSize, tokenBuckets } = options;
  const execution = executionOptions(options);
  const lengths = [...checkBuckets(config, tokenBuckets), config.maxTokenLen].sort((x, y) => x - y);
  const weights = await placeParams(config, params, execution);
  const stages: Stage[] = [];
  const release = () => releaseAll([...stages, weights]);
  try {
    for (const length of lengths) stages.push(await openStage(length, weights, options, execution));
  } catch (error) {
    await release();
    throw error;
  }
  const isParam = (name: string) => weights.byName.has(name);
  const needsState = configModelType(config) === "pi0";
  const noiseShape = [batchSize, config.actionHorizon, config.actionDim];
  const turn = inTurn();

  const sample = async (
    observation: Observation,
    noise: NdArray<Float32Array>,
    numSteps: number,
  ): Promise<NdArray<Float32Array>> => {
    const prompt = promptOnly(observation);
    const needed = textLength(prompt);
    const { length, inputs, encode, velocity } =
      stages.find((stage) => stage.length >= needed) ?? stages.at(-1)!;
    const given = observationFeeds(length < config.maxTokenLen ? cutText(prompt, length) : prompt);
    await encode.run(pickFeeds(inputs, given, isParam));
    const x = noise.data.slice();
    const time = new Float32Array(batchSize);
    const feeds = {
      x_t: tensor(x, noise.shape),
      time: tensor(time, [batchSize]),
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
    release: () => turn(release),
  };
}

/** Both graphs for texts of up to `length` tokens. */
interface Stage {
  readonly length: number;
  /** What the prefix asks for. */
  readonly inputs: readonly Slot[];
  readonly encode: Binding;
  readonly velocity: Binding;
  release(): Promise<void>;
}

/**
 * Open and bind both graphs. Keys, values and mask of the prefix never leave the device: one graph writes them, the
 * other reads them.
 */
async function openStage(
  length: number,
  weights: DeviceTensors,
  { config, ...options }: SamplerOptions,
  execution: ExecutionOptions,
): Promise<Stage> {
  const sized = { ...config, maxTokenLen: length };
  const pair = await openPair(
    serializeModel(buildPrefixModel(sized, options), "prefix_model").bytes,
    serializeModel(buildDenoiseModel(sized, options), "denoise_model").bytes,
    execution,
  );
  const { first: prefix, second: denoise } = pair;
  let cache: DeviceTensors | undefined;
  try {
    const slots = prefix.outputs.map(({ name, type, shape }) => [name, zerosTensor(type, shape)] as const);
    cache = await placeTensors(slots, execution);
    const encode = prefix.bind({
      inputs: bound(prefix.inputs, weights),
      outputs: bound(prefix.outputs, cache),
    });
    const velocity = denoise.bind({
      inputs: { ...bound(denoise.inputs, weights), ...bound(denoise.inputs, cache) },
    });
    const owned = [pair, cache];
    return { length, inputs: prefix.inputs, encode, velocity, release: () => releaseAll(owned) };
  } catch (error) {
    await releaseAll([pair, cache]);
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
