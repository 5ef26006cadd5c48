/** The sample data: a generated DROID-style dataset with its tokenizers, and the scripted Panda it is made with. */
export { ensureSampleData, sampleDataVersion } from "./cache.js";
export { ACTION_DIM, type Episode, FPS, makeEpisode, sampleEpisode } from "./episode.js";
export { CHUNK_HORIZON, FAST_VOCAB_SIZE } from "./fit-tokenizers.js";
export {
  GENERATOR_VERSION,
  generateSampleData,
  type SampleDataOptions,
  type SampleDataPaths,
  type SampleDataProgress,
  sampleDataPaths,
} from "./generate.js";
export { type InverseKinematicsOptions, inverseKinematics } from "./inverse-kinematics.js";
export {
  forwardKinematics,
  HAND_OPENING,
  jacobian,
  NUM_JOINTS,
  PANDA_LIMITS,
  PANDA_READY,
  type PandaFrames,
  withinLimits,
} from "./panda.js";
export { makeRandom, type Random } from "./random.js";
export { CAMERAS, type CameraName, makeRenderer, type Renderer } from "./render.js";
export type { Rigid, Vec3 } from "./rigid.js";
export {
  COLORS,
  type Color,
  type Instruction,
  instructionsFor,
  type Scene,
  type SceneObject,
  SHAPES,
  type Shape,
  sampleScene,
} from "./scene.js";
export {
  DEFAULT_EPISODES,
  type SampleDataSplits,
  sampleDataSplits,
  VALIDATION_EPISODES,
} from "./splits.js";
