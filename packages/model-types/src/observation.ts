/**
 * @file What a model sees: openpi's `Observation` and `Actions` (`models/model.py`), batched.
 */
import type { NdArray } from "./array.js";

/** A batch of observations. Shapes: b = batch, s = state width, l = maxTokenLen. */
export interface Observation {
  /** Camera name → `[b, height, width, 3]`, uint8 0…255 (the model maps to -1…1). */
  images: Record<string, NdArray<Uint8Array>>;
  /** Camera name → `[b]`, 1 where the camera exists. */
  imageMasks: Record<string, NdArray<Uint8Array>>;
  /** `[b, s]`, normalised. */
  state: NdArray<Float32Array>;
  /** `[b, l]` token ids. */
  tokenizedPrompt?: NdArray<Int32Array>;
  /** `[b, l]`, 1 on real tokens. */
  tokenizedPromptMask?: NdArray<Uint8Array>;
  /** `[b, l]`, 0 on the bidirectional prompt, 1 on the causal FAST part. */
  tokenArMask?: NdArray<Int32Array>;
  /** `[b, l]`, 1 on tokens that count in the FAST loss. */
  tokenLossMask?: NdArray<Uint8Array>;
}

/** `[b, horizon, dim]`, normalised, float32. */
export type Actions = NdArray<Float32Array>;
