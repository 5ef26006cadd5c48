/** LeRobot datasets: read v2.0, v2.1 and v3.0; write v3.0; visit their frames in a reproducible order. */

export type { HubOptions } from "@insula/hub-cache";
export { type ConvertOptions, convertLeRobotDataset } from "./edit/convert.js";
export type { EditOptions, EditResult } from "./edit/copy-episodes.js";
export { mergeLeRobotDatasets } from "./edit/merge.js";
export { byFraction, byTask, type EpisodesOf, ofTasks, type Parts } from "./edit/parts.js";
export { extractEpisodes, splitLeRobotDataset } from "./edit/split.js";
export type { CameraStorage } from "./edit/target-features.js";
export { DEFAULT_FEATURES, type FeatureSpec, type Features, type NumericDtype } from "./features.js";
export type { FrameLocation, FrameSource } from "./frame-source.js";
export {
  type DownloadedDataset,
  type DownloadOptions,
  type DownloadProgress,
  downloadLeRobotDataset,
} from "./hub/download-dataset.js";
export { isDatasetRepo, resolveDataset } from "./hub/resolve.js";
export type { Selection } from "./hub/wanted.js";
export { createLoader, type Loader, type LoaderOptions, type LoaderState } from "./load/loader.js";
export type { BatchSlot } from "./load/plan.js";
export {
  createSampler,
  epochOrder,
  type Sampler,
  type SamplerOptions,
  type SamplerState,
} from "./load/sampler.js";
export type { Skipped, SkippedFrame } from "./load/skipped.js";
export type { OpenWorkerSource, WorkerSource, WorkerSpec } from "./load/worker-pool.js";
export { type PlotOptions, plotEpisode } from "./plot/plot-episode.js";
export { checkFinite } from "./read/check-finite.js";
export type { SharedColumns } from "./read/column.js";
export { type LeRobotDataset, type OpenOptions, openLeRobotDataset } from "./read/dataset.js";
export type { Episode, VideoLocation } from "./read/episodes.js";
export type { CodebaseVersion, DatasetInfo } from "./read/info.js";
export type { SampleOptions } from "./read/sample.js";
export { type EpisodeBatch, episodeBatches } from "./stats/batches.js";
export { type ScanEngine, type ScanOptions, scanEngine, scanEpisodes } from "./stats/scan.js";
export {
  type CameraSummary,
  type DatasetSummary,
  type FeatureSummary,
  type SummaryOptions,
  summarizeLeRobotDataset,
  type TaskSummary,
} from "./summary/summary.js";
export { type Problem, problemLine } from "./validate/problem.js";
export { type ValidateOptions, validateLeRobotDataset } from "./validate/validate.js";
export type { EpisodeSource } from "./view/episode-source.js";
export { filterFrames } from "./view/filter.js";
export {
  type EpisodeRange,
  FILTER_REASONS,
  type FilteredFrames,
  type FilterReason,
  type FilterReport,
  type FrameFilter,
  type FrameTest,
  filterSummary,
} from "./view/frame-filter.js";
export { type IdleOptions, nonIdleRanges } from "./view/idle.js";
export { type MixedFrames, type MixOptions, type MixPart, mixSources } from "./view/mix.js";
export { type FrameRange, parseFilterRanges } from "./view/ranges.js";
export { type ResampledDataset, type ResampleOptions, resampleFps } from "./view/resample.js";
export { appendToLeRobotDataset } from "./write/append.js";
export type { VideoEncoding } from "./write/encode-video.js";
export type { EpisodeInput, VideoCopy } from "./write/episode-input.js";
export type { ImageInput, ImageInputs } from "./write/image-input.js";
export {
  type CreateOptions,
  createLeRobotDataset,
  type LeRobotWriter,
  type WriteOptions,
} from "./write/writer.js";
