/** Model types, configuration shapes and observation types of the pi0 family. No dependencies. */
export {
  isNdArray,
  type Leaf,
  type NdArray,
  ndarray,
  type Sample,
  sizeOf,
  type TypedArray,
} from "./array.js";
export { closestMatch, InsulaError } from "./error.js";
export {
  type AttentionEinsum,
  adapterOf,
  type FeedForwardEinsum,
  GEMMA_VARIANTS,
  type GemmaConfig,
  type GemmaLora,
  type GemmaVariant,
  hasLora,
  type LoraConfig,
  loraEinsums,
  loraScale,
} from "./gemma-config.js";
export {
  configModelType,
  FAST_IMAGE_KEYS,
  IMAGE_KEYS,
  IMAGE_SIZE,
  MODEL_SIZES,
  type ModelConfig,
  type ModelOptions,
  type ModelSize,
  makeModelConfig,
  PALIGEMMA_VOCAB_SIZE,
  SIZE_PRESETS,
  type SiglipConfig,
  type SizePreset,
  withoutLora,
} from "./model-config.js";
export { ModelType, modelTypeOf, usesQuantileNorm } from "./model-type.js";
export type { Actions, Observation } from "./observation.js";
