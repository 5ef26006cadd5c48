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
import type { Ablation } from "./ablations.js";
import type { RunConfig } from "./configs/types.js";
import type { Pipeline } from "./data/pipeline.js";
import type { RobotSpec } from "./data/robots.js";
import { makeRng } from "./rng.js";
import { errorSum, recordedChunk } from "./validation/action-errors.js";
import { meanAction } from "./validation/mean-action.js";
import { tokenActions } from "./validation/token-actions.js";

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
  /** The sample as the policy sees it; what it did is compared with the recorded sample all the same. */
  observe?: Ablation;
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
  let notDecoded = 0;
  const act = async (sample: Sample) => {
    const input = pipeline.inputs(observed(pipeline, sample));
    const ids = await sampler.sample(collate([input]).observation);
    const { actions, decoded } = tokenActions(ids, input["state"] as NdArray, {
      pipeline,
      model: config.model,
    });
    if (!decoded) notDecoded += 1;
    return actions;
  };
  return { act, notDecoded: () => notDecoded, release: sampler.release };
}

/** What the robot would have seen: the sample without the demonstrator's actions. */
export function observed(pipeline: Pipeline, sample: Sample): Sample {
  const { actions, actions_is_pad, ...seen } = pipeline.repack(sample);
  return seen;
}

/** The errors of always answering with the mean action of the training data. */
export async function evaluateMeanAction(
  parts: EvaluateParts,
  options: EvaluateOptions = {},
): Promise<ActionErrors> {
  const mean = meanAction(parts);
  return meanErrors(parts, options, async (sample) => mean(modelState(parts.pipeline, sample)));
}

/** The normalised state of a dataset sample, as the model would get it. */
function modelState(pipeline: Pipeline, sample: Sample): NdArray {
  return pipeline.inputs(observed(pipeline, sample))["state"] as NdArray;
}

async function meanErrors(
  { config, dataset, spec, episodes }: EvaluateParts,
  { stride = config.model.actionHorizon, observe = (sample) => sample, onProgress }: EvaluateOptions,
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
  const errors = errorSum(spec.actionDim);
  for (const [done, frame] of frames.entries()) {
    const sample = await dataset.sample(frame, {
      actionHorizon: config.model.actionHorizon,
      actionKeys: [spec.actionKey],
    });
    errors.add(await predict(observe(sample)), recordedChunk(sample, spec));
    onProgress?.(done + 1, frames.length);
  }
  return { perDim: errors.perDim(), chunks: errors.chunks(), actions: errors.actions(), notDecoded: 0 };
}
