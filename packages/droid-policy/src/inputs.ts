/** @file DROID observations as model inputs (openpi `policies/droid_policy.py` `DroidInputs`). */
import { InsulaError, isNdArray, ModelType, type NdArray, type Sample } from "@insula/model-types";
import { named, parseImage, promptText, type Transform } from "@insula/transforms";
import { DROID_DIM, droidLeaves, droidState, shapeError } from "./state.js";

/**
 * Map a DROID sample to model inputs: `state` `[8]`, `image` and `image_mask` by camera, and, where there are
 * any, `actions` `[horizon, 8]`, `actions_is_pad` and `prompt` (bytes are decoded as UTF-8).
 *
 * pi0, pi05 and pi05_ki: `base_0_rgb` (exterior), `left_wrist_0_rgb`, and a black `right_wrist_0_rgb` that is
 * masked out. pi0_fast: `base_0_rgb`, a black `base_1_rgb`, `wrist_0_rgb`, none masked. The keys may be flat
 * (`"observation/joint_position"`) or nested. Upstream: `DroidInputs`.
 * @throws InsulaError `droid/missing-key`, `droid/shape`, `image/rank`, `image/range`, `image/dtype`, and
 * `droid/model-type` at once.
 */
export function droidInputs(modelType: ModelType): Transform {
  if (!Object.hasOwn(ModelType, modelType)) {
    throw new InsulaError(
      "droid/model-type",
      `droidInputs: expected one of ${Object.keys(ModelType).join(", ")}, found '${modelType}'`,
    );
  }
  return named("droidInputs", (sample) => {
    const get = droidLeaves("droidInputs", sample);
    const camera = (key: string): NdArray<Uint8Array> => {
      const leaf = get(key);
      if (!isNdArray(leaf)) throw shapeError(key, "an image [h, w, 3] or [3, h, w]", leaf);
      return parseImage(leaf, key);
    };
    const state = droidState(sample);
    const base = camera("observation/exterior_image_1_left");
    const wrist = camera("observation/wrist_image_left");
    const black: NdArray<Uint8Array> = { data: new Uint8Array(base.data.length), shape: base.shape };
    const out: Sample =
      modelType === ModelType.pi0_fast
        ? {
            state,
            image: { base_0_rgb: base, base_1_rgb: black, wrist_0_rgb: wrist },
            image_mask: { base_0_rgb: true, base_1_rgb: true, wrist_0_rgb: true },
          }
        : {
            state,
            image: { base_0_rgb: base, left_wrist_0_rgb: wrist, right_wrist_0_rgb: black },
            image_mask: { base_0_rgb: true, left_wrist_0_rgb: true, right_wrist_0_rgb: false },
          };
    const actions = sample["actions"];
    if (actions !== undefined) {
      if (!isNdArray(actions) || actions.shape.length < 2 || actions.shape.at(-1) !== DROID_DIM) {
        throw shapeError("actions", `[horizon, ${DROID_DIM}]`, actions as NdArray);
      }
      out["actions"] = actions;
    }
    if (sample["actions_is_pad"] !== undefined) out["actions_is_pad"] = sample["actions_is_pad"];
    if (sample["prompt"] !== undefined) out["prompt"] = promptText(sample["prompt"] as string);
    return out;
  });
}
