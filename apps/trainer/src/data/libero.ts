/** @file LIBERO's transforms (openpi `policies/libero_policy.py`, `LeRobotLiberoDataConfig`). */
import {
  InsulaError,
  isNdArray,
  type ModelType,
  type NdArray,
  type Sample,
  type TypedArray,
} from "@insula/model-types";
import { flatten, named, parseImage, promptText, repackTransform, type Transform } from "@insula/transforms";

/** Width of LIBERO's actions: end-effector deltas and the gripper. */
export const LIBERO_DIM = 7;

/** Dataset columns to the keys of {@link liberoInputs}. */
export function liberoRepack(): Transform {
  return repackTransform(
    {
      "observation/image": "image",
      "observation/wrist_image": "wrist_image",
      "observation/state": "state",
      actions: "actions",
      actions_is_pad: "actions_is_pad",
      prompt: "prompt",
    },
    { optional: ["actions_is_pad"] },
  );
}

/** `observation/state` `[8]`: end-effector position, axis-angle, two gripper joints. */
export function liberoState(sample: Sample): NdArray {
  return leaf(sample, "observation/state");
}

/**
 * Map a LIBERO sample to model inputs: the agent's camera as `base_0_rgb`, the wrist's, and a black third
 * image that only pi0_fast sees. Upstream: `LiberoInputs`, which gives all model types pi0's camera names.
 * @throws InsulaError `libero/missing-key`, `libero/shape`, and as `parseImage`.
 */
export function liberoInputs(modelType: ModelType): Transform {
  const fast = modelType === "pi0_fast";
  return named("liberoInputs", (sample) => {
    const base = parseImage(leaf(sample, "observation/image"), "observation/image");
    const wrist = parseImage(leaf(sample, "observation/wrist_image"), "observation/wrist_image");
    const black: NdArray<Uint8Array> = { data: new Uint8Array(base.data.length), shape: base.shape };
    const out: Sample = {
      state: liberoState(sample),
      image: fast
        ? { base_0_rgb: base, base_1_rgb: black, wrist_0_rgb: wrist }
        : { base_0_rgb: base, left_wrist_0_rgb: wrist, right_wrist_0_rgb: black },
      image_mask: fast
        ? { base_0_rgb: true, base_1_rgb: true, wrist_0_rgb: true }
        : { base_0_rgb: true, left_wrist_0_rgb: true, right_wrist_0_rgb: false },
    };
    if (sample["actions"] !== undefined) {
      const actions = leaf(sample, "actions");
      if (actions.shape.at(-1) !== LIBERO_DIM) throw shapeError(actions.shape);
      out["actions"] = actions;
    }
    if (sample["actions_is_pad"] !== undefined) out["actions_is_pad"] = sample["actions_is_pad"];
    if (sample["prompt"] !== undefined) out["prompt"] = promptText(sample["prompt"] as string);
    return out;
  });
}

/** The first 7 dims of `actions`. Upstream: `LiberoOutputs`. */
export function liberoOutputs(): Transform {
  return named("liberoOutputs", (sample) => {
    const { data, shape } = leaf(sample, "actions");
    const width = shape.at(-1)!;
    if (width < LIBERO_DIM) throw shapeError(shape);
    const keep = (_: unknown, i: number) => i % width < LIBERO_DIM;
    return {
      actions: {
        data: (data as Float32Array).filter(keep) as TypedArray,
        shape: [...shape.slice(0, -1), LIBERO_DIM],
      },
    };
  });
}

function leaf(sample: Sample, key: string): NdArray {
  const value = flatten(sample)[key];
  if (isNdArray(value)) return value;
  throw new InsulaError(
    "libero/missing-key",
    `libero: missing array '${key}' (available: ${Object.keys(flatten(sample)).join(", ") || "none"})`,
  );
}

const shapeError = (found: readonly number[]): InsulaError =>
  new InsulaError("libero/shape", `actions: expected [*, ${LIBERO_DIM}], found [${found.join(", ")}]`);
