/** @file ALOHA observations as model inputs (openpi `policies/aloha_policy.py` `AlohaInputs`). */
import { closestMatch, InsulaError, isNdArray, type NdArray, type Sample } from "@insula/model-types";
import { flatten, named, parseImage, promptText, type Transform } from "@insula/transforms";
import { ALOHA_DIM, shapeError } from "./joints.js";
import { alohaActionsToModel, alohaStateToModel } from "./spaces.js";

/** Cameras that an ALOHA may have. `cam_low` is accepted and not used. */
export const ALOHA_CAMERAS = ["cam_high", "cam_low", "cam_left_wrist", "cam_right_wrist"] as const;
/** One of {@link ALOHA_CAMERAS}. */
export type AlohaCamera = (typeof ALOHA_CAMERAS)[number];

/** Model camera → ALOHA's. */
const MODEL_CAMERAS = {
  base_0_rgb: "cam_high",
  left_wrist_0_rgb: "cam_left_wrist",
  right_wrist_0_rgb: "cam_right_wrist",
} as const;

/** How states and actions are to be read. */
export interface AlohaOptions {
  /**
   * Convert joints and grippers of a standard ALOHA to the space that π0's base model was trained in (default).
   * Off: as they are, for models trained from scratch.
   */
  adaptToPi?: boolean;
}

/**
 * Map an ALOHA sample to model inputs: `images` by camera (`[3, h, w]` or `[h, w, 3]`, uint8 or floats in 0…1) to
 * `image` and `image_mask`, `state` `[14]`, and, where there are any, `actions` `[horizon, 14]`,
 * `actions_is_pad` and `prompt`. `cam_high` is required; a wrist camera that is not there becomes a black image
 * that is masked out, for every model type. Upstream: `AlohaInputs`.
 * @throws InsulaError `aloha/missing-key`, `aloha/camera` for a camera that no ALOHA has, `aloha/shape`,
 * `image/rank`, `image/range`, `image/dtype`.
 */
export function alohaInputs({ adaptToPi = true }: AlohaOptions = {}): Transform {
  return named("alohaInputs", (sample) => {
    const cameras = alohaCameras(sample);
    const base = cameras.get("cam_high");
    if (!base) throw missingKey("images/cam_high", sample);
    const image: Record<string, NdArray<Uint8Array>> = {};
    const mask: Record<string, boolean> = {};
    for (const [model, camera] of Object.entries(MODEL_CAMERAS)) {
      const found = cameras.get(camera);
      image[model] = found ?? { data: new Uint8Array(base.data.length), shape: base.shape };
      mask[model] = found !== undefined;
    }
    const out: Sample = { image, image_mask: mask, state: alohaState(sample, adaptToPi) };
    const actions = sample["actions"];
    if (actions !== undefined) {
      if (!isNdArray(actions) || actions.shape.length < 2 || actions.shape.at(-1) !== ALOHA_DIM) {
        throw shapeError("actions", `[horizon, ${ALOHA_DIM}]`, actions as NdArray);
      }
      out["actions"] = adaptToPi ? alohaActionsToModel(actions) : actions;
    }
    if (sample["actions_is_pad"] !== undefined) out["actions_is_pad"] = sample["actions_is_pad"];
    if (sample["prompt"] !== undefined) out["prompt"] = promptText(sample["prompt"] as string);
    return out;
  });
}

function alohaState(sample: Sample, adaptToPi: boolean): NdArray {
  const state = sample["state"];
  if (state === undefined) throw missingKey("state", sample);
  if (!isNdArray(state) || state.shape.length !== 1 || state.shape[0] !== ALOHA_DIM) {
    throw shapeError("state", `[${ALOHA_DIM}]`, state as NdArray);
  }
  return adaptToPi ? alohaStateToModel(state) : state;
}

/** The images, nested or flat, as uint8 `[h, w, 3]`. */
function alohaCameras(sample: Sample): Map<string, NdArray<Uint8Array>> {
  const cameras = new Map<string, NdArray<Uint8Array>>();
  for (const [key, leaf] of Object.entries(flatten(sample))) {
    if (!key.startsWith("images/")) continue;
    const camera = key.slice("images/".length);
    if (!(ALOHA_CAMERAS as readonly string[]).includes(camera)) {
      const near = closestMatch(camera, ALOHA_CAMERAS);
      throw new InsulaError(
        "aloha/camera",
        `alohaInputs: ${key}: expected cameras ${ALOHA_CAMERAS.join(", ")}` +
          (near ? `; did you mean '${near}'?` : ""),
      );
    }
    if (!isNdArray(leaf)) throw shapeError(key, "an image [3, h, w] or [h, w, 3]", leaf);
    cameras.set(camera, parseImage(leaf, key));
  }
  return cameras;
}

function missingKey(key: string, sample: Sample): InsulaError {
  const keys = Object.keys(flatten(sample)).join(", ") || "none";
  return new InsulaError("aloha/missing-key", `alohaInputs: missing key '${key}' (available: ${keys})`);
}
