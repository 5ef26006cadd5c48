/**
 * @file The training frames of a run as one source of model samples: of one dataset or of a mixture, in this process
 * and in the loader's workers alike.
 */
import { type FrameSource, mixSources } from "@insula/lerobot-dataset";
import type { RunConfig } from "../configs/types.js";
import { modelSample, readOptions } from "./load-sample.js";
import type { Member } from "./members.js";
import type { Pipeline } from "./pipeline.js";

/**
 * The frames of `members`, each through its pipeline; not augmented. A mixture draws each member by its weight: an epoch
 * has as many frames as there are in all.
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
  if (sources.length === 1) return sources[0]!;
  return mixSources(sources.map((source, i) => ({ source, weight: members[i]!.weight })));
}
