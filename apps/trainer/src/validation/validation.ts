/**
 * @file Validation during training: losses and sampled actions on held-out episodes, with the weights that a
 * checkpoint serves. Frames, noise and flow times are the same every time and drawn from generators of its own, so
 * that values of different steps compare and the training goes on as if nobody had looked.
 */
import type { ExecutionOptions, LossMetrics, TrainBatch, TrainSession } from "@insula/ki-model";
import type { NdArray, Sample } from "@insula/model-types";
import { makePipeline, type Pipeline } from "../data/pipeline.js";
import { type TrainData, trainBatch, trainSample } from "../data/train-data.js";
import { observed } from "../evaluate.js";
import type { ValidationRow } from "../metrics/row.js";
import { flowDraws, makeRng } from "../rng.js";
import { errorSum, relativeError } from "./action-errors.js";
import { type ChunkSampler, openChunkSampler } from "./chunk-sampler.js";
import { type HeldOutFrames, heldOutFrames } from "./held-out.js";
import { meanAction } from "./mean-action.js";
import { chunksToSample } from "./metric.js";
import { type ChunkFrame, chunkFrame, type SampledChunk } from "./sampled-chunk.js";
import { servedWeights } from "./served-weights.js";

/** The data of a run, as far as validation needs them. */
export type ValidationData = Pick<
  TrainData,
  "config" | "dataset" | "spec" | "split" | "stats" | "tokenizers"
>;

export interface ValidationOptions {
  data: ValidationData;
  session: TrainSession;
  /** Where the sampler runs: as the session. */
  execution: ExecutionOptions;
}

/** What one validation found. The best step is the caller's to know. */
export interface Validated {
  row: Omit<ValidationRow, "step" | "val_metric" | "val_best" | "val_best_step" | "val_ms" | "time">;
  chunks: SampledChunk[];
}

export interface Validator {
  /**
   * Validate the session's present weights.
   * @param signal ends it between two batches; then undefined.
   */
  run(signal?: AbortSignal): Promise<Validated | undefined>;
  release(): Promise<void>;
}

type SampledErrors = Pick<
  ValidationRow,
  | "val_action_error"
  | "val_action_error_dims"
  | "val_mean_action_error_dims"
  | "val_chunks"
  | "val_not_decoded"
>;

/** Chunks in one run of the sampler: more would need memory that the training may have taken. */
const SAMPLED_AT_ONCE = 4;

/** Samples that are kept from one validation to the next. */
interface Read {
  batches: TrainBatch[];
  /** Model samples without actions, and what was recorded and seen there. */
  inputs: Sample[];
  frames: ChunkFrame[];
}

/**
 * Make ready to validate; frames are read and graphs opened by the first run, and kept. In host memory that is
 * `batches · batchSize` samples of the model's size.
 */
export function createValidator({ data, session, execution }: ValidationOptions): Validator {
  const { config, dataset, spec, split, stats, tokenizers } = data;
  const { validation: settings, batchSize } = config;
  const { actionHorizon } = config.model;
  // A pipeline of its own: it counts the samples that it cuts.
  const pipeline = makePipeline({ config, spec, stats, tokenizers, tasks: dataset.tasks });
  const heldOut = new Set(split.heldOut);
  const frames = heldOutFrames(
    dataset.episodes.filter((e) => heldOut.has(e.index)),
    { ...settings, sampledChunks: chunksToSample(config), batchSize, horizon: actionHorizon },
  );
  const yardstick = meanAction({ config, stats, spec, pipeline });
  let read: Promise<Read> | undefined;
  let sampler: ChunkSampler | undefined;

  const sample = async (
    { inputs, frames }: Read,
    signal?: AbortSignal,
  ): Promise<{ errors: SampledErrors; chunks: SampledChunk[] } | undefined> => {
    sampler ??= await openChunkSampler({
      config,
      session,
      pipeline,
      execution,
      batchSize: Math.min(SAMPLED_AT_ONCE, batchSize, inputs.length),
    });
    const sampled = await sampler.sample(inputs, signal);
    if (!sampled) return undefined;
    const { chunks, notDecoded } = sampled;
    const [model, mean] = [errorSum(spec.actionDim), errorSum(spec.actionDim)];
    for (const [i, { recorded }] of frames.entries()) {
      model.add(chunks[i]!, recorded);
      mean.add(yardstick(inputs[i]!["state"] as NdArray), recorded);
    }
    const [errors, meanErrors] = [model.perDim(), mean.perDim()];
    return {
      errors: {
        val_action_error: relativeError(errors, meanErrors),
        val_action_error_dims: errors,
        val_mean_action_error_dims: meanErrors,
        val_chunks: chunks.length,
        ...(notDecoded > 0 ? { val_not_decoded: notDecoded } : {}),
      },
      chunks: frames.map((frame, i) => ({ ...frame, sampled: chunks[i]! })),
    };
  };

  return {
    async run(signal) {
      read ??= readFrames(data, pipeline, frames);
      read.catch(() => (read = undefined)); // the next validation tries again
      const samples = await read;
      const weights = servedWeights(config);
      const rng = makeRng({ seed: config.seed, purpose: "validation" });
      const losses: LossMetrics[] = [];
      for (const batch of samples.batches) {
        if (signal?.aborted) return undefined;
        losses.push(await session.evaluate(batch, flowDraws(rng, { ...config, ...config.model }), weights));
      }
      const sampled = samples.inputs.length > 0 ? await sample(samples, signal) : undefined;
      if (signal?.aborted) return undefined;
      return {
        row: {
          kind: "validation",
          val_weights: weights,
          ...meanLosses(losses),
          val_frames: frames.losses.length,
          ...sampled?.errors,
        },
        chunks: sampled?.chunks ?? [],
      };
    },
    release: async () => sampler?.release(),
  };
}

async function readFrames(
  { config, dataset, spec }: ValidationData,
  pipeline: Pipeline,
  frames: HeldOutFrames,
): Promise<Read> {
  const options = { actionHorizon: config.model.actionHorizon, actionKeys: [spec.actionKey] };
  const read: Read = { batches: [], inputs: [], frames: [] };
  for (let at = 0; at < frames.losses.length; at += config.batchSize) {
    const samples: Sample[] = [];
    for (const frame of frames.losses.slice(at, at + config.batchSize)) {
      samples.push(trainSample(pipeline, await dataset.sample(frame, options)));
    }
    read.batches.push(trainBatch(samples, spec));
  }
  for (const frame of frames.chunks) {
    const sample = await dataset.sample(frame, options);
    const seen = observed(pipeline, sample);
    read.inputs.push(pipeline.inputs(seen));
    read.frames.push(chunkFrame(sample, seen, spec));
  }
  return read;
}

/** Means over batches of what the model type has. */
function meanLosses(
  losses: readonly LossMetrics[],
): Pick<ValidationRow, "val_total"> & Partial<ValidationRow> {
  const mean = (key: keyof LossMetrics) => {
    const values = losses.map((loss) => loss[key]).filter((value) => value !== undefined);
    const sum = values.reduce((a, b) => a + b, 0);
    return values.length > 0 ? { [`val_${key}`]: sum / values.length } : {};
  };
  return {
    ...(mean("total") as { val_total: number }),
    ...mean("action_loss"),
    ...mean("fast_loss"),
    ...mean("fast_accuracy"),
  };
}
