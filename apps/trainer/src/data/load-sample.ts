/**
 * @file One frame as a batch holds it: dataset sample → model sample → augmentation. The same function in this
 * process and in the loader's workers, so that the number of workers changes no number.
 */
import type { BatchSlot, SampleOptions } from "@insula/lerobot-dataset";
import { InsulaError, type Sample } from "@insula/model-types";
import { augmentBatch } from "@insula/transforms";
import type { RunConfig } from "../configs/types.js";
import type { Pipeline } from "./pipeline.js";
import type { RobotSpec } from "./robots.js";

/** What is read of a frame besides its cameras and state. */
export const readOptions = ({ model }: RunConfig, spec: RobotSpec): SampleOptions => ({
  actionHorizon: model.actionHorizon,
  actionKeys: [spec.actionKey],
});

/**
 * A dataset sample as the model takes it, and beside that `origin` (episode and frame) and `truncated` (whether its
 * tokens were cut).
 */
export function modelSample(pipeline: Pipeline, sample: Sample): Sample {
  const before = pipeline.truncated();
  const forModel = trainSample(pipeline, sample);
  const truncated = pipeline.truncated() > before;
  const origin = { episode: sample["episode_index"]!, frame: sample["frame_index"]! };
  return { ...forModel, origin, truncated };
}

/** A model sample as batch `slot.batch` trains on it. */
export function augmentSample(config: RunConfig, sample: Sample, slot: BatchSlot): Sample {
  const { augment } = config.data;
  if (augment === "none") return sample;
  const draws = { seed: config.seed, step: slot.batch, offset: slot.row };
  return augmentBatch([sample], { ...draws, variant: augment })[0]!;
}

/** A dataset sample as the model trains on it; what goes wrong names its episode and frame. */
export function trainSample(pipeline: Pipeline, sample: Sample): Sample {
  try {
    return pipeline.inputs(pipeline.repack(sample));
  } catch (error) {
    if (!(error instanceof InsulaError)) throw error;
    const where = `episode ${sample["episode_index"]}, frame ${sample["frame_index"]}`;
    throw new InsulaError(error.code, `${where}: ${error.message}`, { cause: error });
  }
}
