/** LeRobot datasets: read v2.0, v2.1 and v3.0; write v3.0; visit their frames in a reproducible order. */
export { DEFAULT_FEATURES, type FeatureSpec, type Features, type NumericDtype } from "./features.js";
export { createLoader, type Loader, type LoaderOptions, type LoaderState } from "./load/loader.js";
export {
  createSampler,
  epochOrder,
  type Sampler,
  type SamplerOptions,
  type SamplerState,
} from "./load/sampler.js";
export { checkFinite } from "./read/check-finite.js";
export { type LeRobotDataset, type OpenOptions, openLeRobotDataset } from "./read/dataset.js";
export type { Episode, VideoLocation } from "./read/episodes.js";
export type { CodebaseVersion, DatasetInfo } from "./read/info.js";
export type { SampleOptions } from "./read/sample.js";
export {
  type CreateOptions,
  createLeRobotDataset,
  type EpisodeInput,
  type LeRobotWriter,
} from "./write/writer.js";
