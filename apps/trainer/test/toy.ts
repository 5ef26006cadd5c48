/** A model of a few thousand parameters and batches of noise for it: the real session in milliseconds. */
import { buildArtifact, createTrainSession, initParams, type TrainBatch } from "@insula/ki-model";
import { getConfig } from "../src/configs/registry.js";
import { resolveConfig } from "../src/configs/resolve.js";
import type { RunConfig } from "../src/configs/types.js";
import { makeRng, type RngState } from "../src/rng.js";
import { makeDiagnosis } from "../src/train/diagnose.js";
import type { TrainBatches, TrainParts } from "../src/train.js";

const stack = { width: 16, depth: 2, mlpDim: 24, numHeads: 2, numKvHeads: 1, headDim: 8 };

export function toyConfig(more: Partial<RunConfig> = {}): RunConfig {
  const overrides = {
    batchSize: 2,
    model: {
      actionDim: 8,
      actionHorizon: 3,
      maxTokenLen: 12,
      imageSize: 14,
      imageKeys: ["base_0_rgb", "left_wrist_0_rgb"],
      vocabSize: 64,
      vlm: stack,
      expert: stack,
      siglip: { width: 12, depth: 1, mlpDim: 16, numHeads: 2, patchSize: 7 },
    },
    lrSchedule: { type: "constant", lr: 1e-3 },
    emaDecay: 0.9,
    ...more,
  };
  return resolveConfig(getConfig("pi05_droid_ki"), { size: "tiny", overrides });
}

export function toyBatch(
  config: RunConfig,
  rng: { uniform(): number; normal(out: Float32Array): Float32Array },
): TrainBatch {
  const { model, batchSize: b } = config;
  const l = model.maxTokenLen;
  const bytes = (n: number, max: number) =>
    Uint8Array.from({ length: n }, () => Math.floor(rng.uniform() * max));
  const [prompt, end] = [5, 10];
  const mask = (from: number, to: number) =>
    Uint8Array.from({ length: b * l }, (_, i) => (i % l >= from && i % l < to ? 1 : 0));
  const pixels = [b, model.imageSize, model.imageSize, 3];
  return {
    observation: {
      images: Object.fromEntries(
        model.imageKeys.map((k) => [
          k,
          {
            data: bytes(
              pixels.reduce((x, y) => x * y),
              256,
            ),
            shape: pixels,
          },
        ]),
      ),
      imageMasks: Object.fromEntries(
        model.imageKeys.map((k) => [k, { data: new Uint8Array(b).fill(1), shape: [b] }]),
      ),
      state: { data: rng.normal(new Float32Array(b * model.actionDim)), shape: [b, model.actionDim] },
      tokenizedPrompt: { data: Int32Array.from(bytes(b * l, model.vocabSize)), shape: [b, l] },
      tokenizedPromptMask: { data: mask(0, end), shape: [b, l] },
      tokenArMask: { data: Int32Array.from(mask(prompt, end)), shape: [b, l] },
      tokenLossMask: { data: mask(prompt, end), shape: [b, l] },
    },
    actions: {
      data: rng.normal(new Float32Array(b * model.actionHorizon * model.actionDim)),
      shape: [b, model.actionHorizon, model.actionDim],
    },
    actionMask: {
      data: new Float32Array(b * model.actionHorizon * model.actionDim).fill(1),
      shape: [b, model.actionHorizon, model.actionDim],
    },
  };
}

/** Batches of noise whose loader state is the generator's. */
function noiseBatches(config: RunConfig, state: unknown): TrainBatches {
  const rng = makeRng((state as RngState | undefined) ?? { seed: config.seed, purpose: "data" });
  return {
    next: async () => ({ batch: toyBatch(config, rng), after: rng.state() }),
    close: async () => {},
  };
}

export async function toyParts(config: RunConfig): Promise<TrainParts> {
  const artifact = buildArtifact(config.model, {
    batchSize: config.batchSize,
    gradientAccumulation: config.gradientAccumulation,
    flowDraws: config.flowDraws,
    optimizer: { ...config.optimizer, emaDecay: config.emaDecay },
  });
  const session = await createTrainSession({
    artifact,
    params: initParams(config.model, config.seed),
    threads: 1,
  });
  return {
    config,
    session,
    diagnose: makeDiagnosis({ artifact, session, execution: { threads: 1 } }),
    openBatches: async (state) => noiseBatches(config, state),
    files: new Map([["assets/droid/norm_stats.json", "{}"]]),
  };
}
