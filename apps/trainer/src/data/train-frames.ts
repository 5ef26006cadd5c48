/**
 * @file The training frames of a run as one source of model samples: of one dataset or of a mixture, in this process
 * and in the loader's workers alike.
 */
import { type FrameSource, mixSources } from "@insula/lerobot-dataset";
import type { RunConfig } from "../configs/types.js";
import { keepSamples } from "./keep-samples.js";
import { modelSample, readOptions } from "./load-sample.js";
import type { Member } from "./members.js";
import type { Pipeline } from "./pipeline.js";

/** Bytes of model samples kept from epoch to epoch: small images of a small dataset. */
const KEPT_BYTES = 2 ** 29;

/**
 * The frames of `members`, each through its pipeline; not augmented. A mixture draws each member by its weight: an epoch
 * has as many frames as there are in all. Samples may be handed out again: they are not to be changed.
 * @throws InsulaError `mix/…` when the samples of members do not agree.
 */
export async function trainFrames(
  config: RunConfig,
  members: readonly Member[],
  pipelines: readonly Pipeline[],
): Promise<FrameSource> {
  const sources = members.map(({ frames, spec }, i): FrameSource => {
    const options = readOptions(config, spec);
    return {
      totalFrames: frames.totalFrames,
      sample: async (index) => modelSample(pipelines[i]!, await frames.sample(index, options)),
      locate: frames.locate,
    };
  });
  const frames =
    sources.length === 1
      ? sources[0]!
      : await mixSources(sources.map((source, i) => ({ source, weight: members[i]!.weight })));
  return keepSamples(frames, KEPT_BYTES);
}
