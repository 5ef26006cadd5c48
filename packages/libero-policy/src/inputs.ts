/** @file LIBERO observations as model inputs (openpi `policies/libero_policy.py` `LiberoInputs`). */
import { InsulaError, ModelType, type NdArray, type Sample } from "@insula/model-types";
import { named, parseImage, promptText, type Transform } from "@insula/transforms";
import { LIBERO_DIM, liberoArrays, liberoState, shapeError } from "./state.js";

/**
 * Map a LIBERO sample to model inputs: `state` `[8]`, `image` and `image_mask` by camera, and, where there are
 * any, `actions` `[horizon, 7]`, `actions_is_pad` and `prompt` (bytes are decoded as UTF-8).
 *
 * Every model type gets pi0's camera names: `base_0_rgb` (the agent's view), `left_wrist_0_rgb`, and a black
 * `right_wrist_0_rgb`, which pi0_fast sees and the others do not. Keys may be flat (`"observation/state"`) or
 * nested. Upstream: `LiberoInputs`.
 * @throws InsulaError `libero/missing-key`, `libero/shape`, `image/rank`, `image/range`, `image/dtype`, and
 * `libero/model-type` at once.
 */
export function liberoInputs(modelType: ModelType): Transform {
  if (!Object.hasOwn(ModelType, modelType)) {
    throw new InsulaError(
      "libero/model-type",
      `liberoInputs: expected one of ${Object.keys(ModelType).join(", ")}, found '${modelType}'`,
    );
  }
  return named("liberoInputs", (sample) => {
    const get = liberoArrays("liberoInputs", sample);
    const state = liberoState(sample);
    const base = parseImage(get("observation/image"), "observation/image");
    const wrist = parseImage(get("observation/wrist_image"), "observation/wrist_image");
    const black: NdArray<Uint8Array> = { data: new Uint8Array(base.data.length), shape: base.shape };
    const out: Sample = {
      state,
      image: { base_0_rgb: base, left_wrist_0_rgb: wrist, right_wrist_0_rgb: black },
      image_mask: {
        base_0_rgb: true,
        left_wrist_0_rgb: true,
        right_wrist_0_rgb: modelType === ModelType.pi0_fast,
      },
    };
    if (sample["actions"] !== undefined) {
      const actions = get("actions");
      if (actions.shape.length < 2 || actions.shape.at(-1) !== LIBERO_DIM) {
        throw shapeError("actions", `[horizon, ${LIBERO_DIM}]`, actions);
      }
      out["actions"] = actions;
    }
    if (sample["actions_is_pad"] !== undefined) out["actions_is_pad"] = sample["actions_is_pad"];
    if (sample["prompt"] !== undefined) out["prompt"] = promptText(sample["prompt"] as string);
    return out;
  });
}
