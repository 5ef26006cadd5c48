/**
 * @file Checkpoints: a folder per saved step, complete or absent.
 *
 *     <step>/params/params.safetensors   what a policy serves: EMA weights when EMA is on (openpi names)
 *     <step>/train_state/state.json      step, generator and loader state, best validation value
 *     <step>/train_state/{mu,nu}.safetensors
 *     <step>/train_state/params.safetensors   raw weights, only when EMA is on
 *     <step>/assets/<assetId>/norm_stats.json
 *     <step>/tokenizers/…                files to make the same tokens again
 *     <step>/config.json                 as resolved
 *     <step>/version.json                of the code that wrote it
 *     <step>/checksums.json              length and SHA-256 of every other file
 *     best → <step>                      the step with the best validation value
 *
 * Tensors that exceed 2 GB lie in shards: `params-00001-of-00007.safetensors` and `params.safetensors.index.json`.
 * `<step>` is the number of optimizer steps taken. As openpi's layout; unlike it, the label counts from 1,
 * and generator and data order are kept, so that a resumed run continues as if it had never stopped.
 */
export {
  BEST_LINK,
  type Damaged,
  findCheckpoint,
  latestCheckpoint,
  latestWhole,
  linkBest,
  listCheckpoints,
  setAside,
} from "./checkpoint/list.js";
export { paramsFile, readCheckpoint, readCheckpointConfig, readParams, readTree } from "./checkpoint/read.js";
export { type SaveOptions, saveCheckpoint } from "./checkpoint/save.js";
export type { Checkpoint, Progress } from "./checkpoint/types.js";
export { codeVersion } from "./checkpoint/version.js";
