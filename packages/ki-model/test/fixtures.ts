/**
 * @file A model small enough for tests and a random batch for it; no shared data needed.
 */
import { type ModelConfig, makeModelConfig } from "@insula/model-types";
import { serialize, type Value } from "@insula/onnx-grad";
import { createSession, type Tensor, tensor } from "@insula/ort-session";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import {
  type FlowDraws,
  initParams,
  type ModelContext,
  type ParamTree,
  pickFeeds,
  type TrainBatch,
  toGraphParams,
  trainFeeds,
} from "../src/index.js";

const heads = { numHeads: 4, numKvHeads: 1, headDim: 8 };

/** Two layers, width 16, 28-pixel images, 24 tokens. */
export function testConfig(changes: Partial<ModelConfig> = {}): ModelConfig {
  return makeModelConfig({
    pi05: true,
    knowledgeInsulation: true,
    actionDim: 5,
    actionHorizon: 6,
    maxTokenLen: 24,
    imageSize: 28,
    vocabSize: 64,
    vlm: { width: 16, depth: 2, mlpDim: 24, ...heads },
    expert: { width: 12, depth: 2, mlpDim: 20, ...heads },
    siglip: { width: 16, depth: 1, mlpDim: 24, numHeads: 2, patchSize: 14 },
    ...changes,
  });
}

/** Parameters with nothing at zero, so that every path carries a signal. */
export function testParams(config: ModelConfig, seed = 1): ParamTree {
  const random = generator(seed + 1000);
  const params = initParams(config, seed);
  for (const { data } of params.values())
    for (let i = 0; i < data.length; i++) data[i]! += 0.1 * (random() - 0.5);
  return params;
}

function generator(seed: number): () => number {
  const rng = xoroshiro128plus(seed);
  return () => uniformFloat64(rng);
}

/** A batch whose samples have different prompt and FAST lengths and whose last camera is missing. */
export function testBatch(
  config: ModelConfig,
  batchSize = 2,
  seed = 7,
): { batch: TrainBatch; draws: FlowDraws } {
  const random = generator(seed);
  const { maxTokenLen: l, actionHorizon: h, actionDim: d, imageSize } = config;
  const floats = (...shape: number[]) => ({
    data: Float32Array.from({ length: shape.reduce((a, x) => a * x) }, () => 2 * random() - 1),
    shape,
  });
  const tokens = new Int32Array(batchSize * l);
  const mask = new Uint8Array(batchSize * l);
  const ar = new Int32Array(batchSize * l);
  const loss = new Uint8Array(batchSize * l);
  for (let b = 0; b < batchSize; b++) {
    const [prompt, end] = [8 + b, 15 + 2 * b];
    for (let i = 0; i < end; i++) {
      tokens[b * l + i] = 1 + Math.floor(random() * (config.vocabSize - 1));
      mask[b * l + i] = 1;
      if (i >= prompt) ar[b * l + i] = loss[b * l + i] = 1;
    }
  }
  const image = () => ({
    data: Uint8Array.from({ length: batchSize * imageSize ** 2 * 3 }, () => random() * 256),
    shape: [batchSize, imageSize, imageSize, 3],
  });
  const last = config.imageKeys.length - 1;
  const shape = [batchSize, l];
  return {
    batch: {
      observation: {
        images: Object.fromEntries(config.imageKeys.map((key) => [key, image()])),
        imageMasks: Object.fromEntries(
          config.imageKeys.map((key, i) => [
            key,
            { data: new Uint8Array(batchSize).fill(i < last ? 1 : 0), shape: [batchSize] },
          ]),
        ),
        state: floats(batchSize, d),
        tokenizedPrompt: { data: tokens, shape },
        tokenizedPromptMask: { data: mask, shape },
        tokenArMask: { data: ar, shape },
        tokenLossMask: { data: loss, shape },
      },
      actions: floats(batchSize, h, d),
      actionMask: {
        data: Float32Array.from({ length: batchSize * h * d }, (_, i) => (i % d < d - 1 ? 1 : 0)),
        shape: [batchSize, h, d],
      },
    },
    draws: {
      noise: floats(batchSize, h, d),
      time: {
        data: Float32Array.from({ length: batchSize }, () => 0.1 + 0.8 * random()),
        shape: [batchSize],
      },
    },
  };
}

/** Serialise `outputs` of a model graph and run them once. */
export async function runModel(
  { graph, specs }: ModelContext,
  outputs: ReadonlyMap<string, Value>,
  params: ParamTree,
  { batch, draws }: { batch: TrainBatch; draws: FlowDraws },
): Promise<Record<string, Tensor>> {
  const session = await createSession(serialize(graph, outputs).bytes);
  const weights = toGraphParams(specs, params);
  const feeds = pickFeeds(session.inputs, trainFeeds(batch, draws), (n) => weights.has(n));
  for (const { name } of session.inputs) {
    const weight = weights.get(name);
    if (weight) feeds[name] = tensor(weight.data, weight.shape);
  }
  const out = await session.run(feeds);
  await session.release();
  return out;
}
