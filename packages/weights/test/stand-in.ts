/** @file The stand-ins' shared inputs as a batch, and their recorded outputs. */
import {
  buildTrainingModel,
  createSampler,
  type ParamTree,
  pickFeeds,
  toGraphParams,
  trainFeeds,
} from "@insula/ki-model";
import type { ModelConfig, NdArray, Observation } from "@insula/model-types";
import { serialize, type Value } from "@insula/onnx-grad";
import { createSession, tensor } from "@insula/ort-session";
import { type FileTensor, readSafetensors } from "@insula/safetensors";
import { sharedTensors } from "@insula/test-kit";

/** Sizes that the stand-ins' folders do not state: the head count of their towers, horizon and prompt length. */
export const STAND_IN = { siglipHeads: 4, model: { actionHorizon: 8, maxTokenLen: 24 } } as const;

export const BATCH = 2;

export async function readParams(file: string): Promise<ParamTree> {
  return (await readSafetensors(file)) as unknown as ParamTree;
}

export function standInInputs(config: ModelConfig) {
  const inputs = sharedTensors("golden", "weights", "inputs.safetensors");
  const get = (name: string) => inputs.get(name) as FileTensor;
  const zeros = { data: new Int32Array(BATCH * 24), shape: [BATCH, 24] };
  const observation = {
    images: Object.fromEntries(config.imageKeys.map((key) => [key, get(`image_u8_nhwc.${key}`)])),
    imageMasks: Object.fromEntries(config.imageKeys.map((key) => [key, get(`image_mask.${key}`)])),
    state: get("state"),
    tokenizedPrompt: get("tokens"),
    tokenizedPromptMask: get("token_mask"),
    tokenArMask: zeros,
    tokenLossMask: { data: new Uint8Array(BATCH * 24), shape: [BATCH, 24] },
  } as Observation;
  return {
    observation,
    actions: get("actions") as NdArray<Float32Array>,
    noise: get("noise") as NdArray<Float32Array>,
    time: get("time") as NdArray<Float32Array>,
  };
}

/** Loss, velocity and ten sampling steps of imported parameters on the stand-ins' inputs. */
export async function forward(config: ModelConfig, params: ParamTree) {
  const { observation, actions, noise, time } = standInInputs(config);
  const model = buildTrainingModel({ ...config, maskPadded: false }, { batchSize: BATCH });
  const outputs = new Map<string, Value>(model.outputs);
  for (const tap of ["v_t", "suffix_out", "action_loss_per_step"])
    outputs.set(`tap/${tap}`, model.context.taps.get(tap)!);
  const session = await createSession(serialize(model.context.graph, outputs).bytes);
  const weights = toGraphParams(model.context.specs, params);
  const feeds = pickFeeds(session.inputs, trainFeeds({ observation, actions }, { noise, time }), (n) =>
    weights.has(n),
  );
  for (const { name } of session.inputs) {
    const weight = weights.get(name);
    if (weight) feeds[name] = tensor(weight.data, weight.shape);
  }
  const out = await session.run(feeds);
  await session.release();
  const sampler = await createSampler({ config, params, batchSize: BATCH });
  const sampled = await sampler.sample(observation, noise, { numSteps: 10 });
  await sampler.release();
  return {
    velocity: out["tap/v_t"]!.data as Float32Array,
    suffix: out["tap/suffix_out"]!.data as Float32Array,
    lossPerStep: out["tap/action_loss_per_step"]!.data as Float32Array,
    sampled: sampled.data,
  };
}
