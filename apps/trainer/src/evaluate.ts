/**
 * @file Open-loop evaluation: at regular frames of held-out episodes the model samples an action chunk from
 * what it sees; the chunk, in physical units, is compared with what the demonstrator did. Two yardsticks stand
 * beside it: an untrained model of the same kind, and always answering with the mean action.
 */
import { createFastSampler, type ParamTree } from "@insula/ki-model";
import type { LeRobotDataset } from "@insula/lerobot-dataset";
import { configModelType, InsulaError, type NdArray, type Sample } from "@insula/model-types";
import type { CudaOptions, Device, Runtime } from "@insula/ort-session";
import { createPolicy } from "@insula/policy";
import { collate, type NormStatsMap } from "@insula/transforms";
import type { RunConfig } from "./configs/types.js";
import type { Pipeline } from "./data/pipeline.js";
import type { RobotSpec } from "./data/robots.js";
import { makeRng } from "./rng.js";

export interface EvaluateParts {
  config: RunConfig;
  dataset: LeRobotDataset;
  spec: RobotSpec;
  pipeline: Pipeline;
  stats: NormStatsMap;
  /** `episode_index` of the episodes to use. */
  episodes: readonly number[];
}

export interface EvaluateOptions {
  /** Denoising steps per chunk. */
  numSteps?: number;
  /** Frames between chunks; default: the horizon, so that every frame is predicted once. */
  stride?: number;
  seed?: number;
  device?: Device;
  runtime?: Runtime;
  cuda?: CudaOptions;
  threads?: number;
  onProgress?: (done: number, total: number) => void;
}

/** Mean absolute errors in physical units. */
export interface ActionErrors {
  /** One per action dim. */
  perDim: number[];
  /** Action chunks sampled and single actions compared (steps beyond an episode's end are left out). */
  chunks: number;
  actions: number;
  /** pi0_fast: chunks whose tokens did not decode and count as the middle of the normalisation, as upstream acts. */
  notDecoded: number;
}

/** Mean absolute error per action dim of chunks sampled with `params`. */
export async function evaluateParams(
  parts: EvaluateParts,
  params: ParamTree,
  options: EvaluateOptions = {},
): Promise<ActionErrors> {
  const open = configModelType(parts.config.model) === "pi0_fast" ? tokenActor : flowActor;
  const actor = await open(parts, params, options);
  try {
    return { ...(await meanErrors(parts, options, actor.act)), notDecoded: actor.notDecoded() };
  } finally {
    await actor.release();
  }
}

interface Actor {
  /** Dataset sample → `[h, d]`, the robot's actions in physical units. */
  act(sample: Sample): Promise<NdArray>;
  /** Chunks so far that did not decode. */
  notDecoded(): number;
  release(): Promise<void>;
}

/** pi0, pi05 and pi05_ki: denoise from seeded noise. */
async function flowActor(
  { config, spec, pipeline }: EvaluateParts,
  params: ParamTree,
  { numSteps = 10, seed = config.seed, device = "cpu", runtime, cuda, threads }: EvaluateOptions,
): Promise<Actor> {
  const policy = await createPolicy({
    config: config.model,
    params,
    inputs: [pipeline.inputs],
    outputs: [pipeline.outputs],
    normal: makeRng({ seed, purpose: "evaluate" }).normal,
    imageKeys: spec.cameras(configModelType(config.model)),
    numSteps,
    device,
    ...(runtime ? { runtime } : {}),
    ...(cuda ? { cuda } : {}),
    ...(threads ? { threads } : {}),
  });
  const act = async (sample: Sample) =>
    (await policy.infer(observed(pipeline, sample)))["actions"] as NdArray;
  return { act, notDecoded: () => 0, release: policy.release };
}

/** pi0_fast: the most likely token, one after the other. */
async function tokenActor(
  { config, spec, pipeline }: EvaluateParts,
  params: ParamTree,
  { device = "cpu", runtime, cuda, threads }: EvaluateOptions,
): Promise<Actor> {
  const imageKeys = spec.cameras("pi0_fast");
  const sampler = await createFastSampler({
    config: config.model,
    params,
    batchSize: 1,
    imageKeys,
    device,
    ...(runtime ? { runtime } : {}),
    ...(cuda ? { cuda } : {}),
    ...(threads ? { threads } : {}),
  });
  const { actionHorizon, actionDim } = config.model;
  const zeros = { data: new Float32Array(actionHorizon * actionDim), shape: [actionHorizon, actionDim] };
  let notDecoded = 0;
  const act = async (sample: Sample) => {
    const input = pipeline.inputs(observed(pipeline, sample));
    const state = input["state"]!;
    const data = await sampler.sample(collate([input]).observation);
    try {
      return pipeline.outputs({ state, actions: { data, shape: [data.length] } })["actions"] as NdArray;
    } catch (error) {
      if (!(error instanceof InsulaError && error.code.startsWith("fast/"))) throw error;
      notDecoded += 1;
      return pipeline.unnormalized({ state, actions: zeros })["actions"] as NdArray;
    }
  };
  return { act, notDecoded: () => notDecoded, release: sampler.release };
}

/** What the robot would have seen: the sample without the demonstrator's actions. */
function observed(pipeline: Pipeline, sample: Sample): Sample {
  const { actions, actions_is_pad, ...seen } = pipeline.repack(sample);
  return seen;
}

/** The errors of always answering with the mean action of the training data; undefined for relative actions. */
export async function evaluateMeanAction(
  parts: EvaluateParts,
  options: EvaluateOptions = {},
): Promise<ActionErrors | undefined> {
  const { config, stats, spec } = parts;
  if (config.data.deltaActions) return undefined;
  const horizon = config.model.actionHorizon;
  const mean = stats["actions"]!.mean.subarray(0, spec.actionDim);
  const data = Float64Array.from({ length: horizon * spec.actionDim }, (_, i) => mean[i % spec.actionDim]!);
  return meanErrors(parts, options, async () => ({ data, shape: [horizon, spec.actionDim] }));
}

async function meanErrors(
  { config, dataset, spec, episodes }: EvaluateParts,
  { stride = config.model.actionHorizon, onProgress }: EvaluateOptions,
  predict: (sample: Sample) => Promise<NdArray>,
): Promise<ActionErrors> {
  const wanted = new Set(episodes);
  const frames = dataset.episodes
    .filter((e) => wanted.has(e.index))
    .flatMap(({ from, to }) =>
      Array.from({ length: Math.ceil((to - from) / stride) }, (_, i) => from + i * stride),
    );
  if (frames.length === 0) {
    throw new InsulaError(
      "evaluate/episodes",
      "evaluate: no episodes are held out; name some with --episodes",
    );
  }
  const sums = new Array<number>(spec.actionDim).fill(0);
  let actions = 0;
  for (const [done, frame] of frames.entries()) {
    const sample = await dataset.sample(frame, {
      actionHorizon: config.model.actionHorizon,
      actionKeys: [spec.actionKey],
    });
    const predicted = await predict(sample);
    const { data: expected } = sample[spec.actionKey] as NdArray;
    const { data: isPad } = sample[`${spec.actionKey}_is_pad`] as NdArray;
    for (let t = 0; t < config.model.actionHorizon; t++) {
      if (isPad[t]) break;
      actions += 1;
      for (let d = 0; d < spec.actionDim; d++) {
        const i = t * spec.actionDim + d;
        sums[d]! += Math.abs(Number(predicted.data[i]) - Number(expected[i]));
      }
    }
    onProgress?.(done + 1, frames.length);
  }
  return { perDim: sums.map((s) => s / actions), chunks: frames.length, actions, notDecoded: 0 };
}
