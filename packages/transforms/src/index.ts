/** Data transforms between robots, datasets and models: pure functions from sample to sample. */
export {
  absoluteActions,
  actionMask,
  deltaActions,
  makeBoolMask,
  padStatesAndActions,
  subsampleActions,
} from "./actions.js";
export { padToDim } from "./arrays.js";
export { type Batch, type CollateOptions, collate, toObservation } from "./collate.js";
export { type ExampleDraws, exampleDraws } from "./example-draws.js";
export {
  type Augmentation,
  type AugmentBatchOptions,
  type AugmentVariant,
  augmentBatch,
  augmentImage,
  augmentImages,
  drawAugmentation,
} from "./image/augment.js";
export { resizeWithPadJax } from "./image/jax-resize.js";
export { convertToUint8, parseImage } from "./image/parse-image.js";
export { resizeBilinear } from "./image/pil-resize.js";
export { keyedRandom } from "./image/random.js";
export { resizeWithPad } from "./image/resize-with-pad.js";
export { type ModelTransformOptions, modelTransforms } from "./model-transforms.js";
export { type NormalizeOptions, normalize, unnormalize } from "./normalize.js";
export { injectDefaultPrompt, promptFromLeRobotTask, promptText } from "./prompt.js";
export { type RepackStructure, repackTransform } from "./repack.js";
export { resizeImages } from "./resize-images.js";
export {
  type Degenerate,
  type DegenerateOptions,
  findDegenerate,
  type NormMethod,
  requireSpread,
} from "./stats/degenerate.js";
export { findHeavyTails, type HeavyTail, type HeavyTailOptions } from "./stats/heavy-tails.js";
export type { Histogram } from "./stats/histogram.js";
export { type NormStats, type NormStatsMap, parseNormStats, serializeNormStats } from "./stats/norm-stats.js";
export { packedLength, packRunningStats, unpackRunningStats } from "./stats/packed.js";
export {
  createRunningStats,
  type ExactStats,
  getStatistics,
  mergeRunningStats,
  type RunningStats,
  scaleRunningStats,
  updateRunningStats,
} from "./stats/running-stats.js";
export type { UpstreamStats } from "./stats/upstream-stats.js";
export {
  type ExtractActionsOptions,
  extractFASTActions,
  type FastSequenceTokenizer,
  type PromptTokenizer,
  type TokenizeFASTInputsOptions,
  tokenizeFASTInputs,
  tokenizePrompt,
} from "./tokenize.js";
export { compose, type Group, group, named, pushGroup, type Transform } from "./transform.js";
export { applyTree, flatten, type Tree, transformDict, unflatten } from "./tree.js";
