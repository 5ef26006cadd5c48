/** @file The `config.json` that openpi's converter and LeRobot write beside PyTorch weights. */
import { configModelType, type ModelConfig } from "@insula/model-types";

/**
 * As openpi's `convert_jax_model_to_pytorch.py`. Variants are openpi's two names for full size; it has none for
 * others.
 */
export function openpiConfig({ actionDim, actionHorizon }: ModelConfig): object {
  return {
    action_dim: actionDim,
    action_horizon: actionHorizon,
    paligemma_variant: "gemma_2b",
    action_expert_variant: "gemma_300m",
    precision: "float32",
  };
}

/** As LeRobot's `PI0Config` and `PI05Config` (`policies/pi0`, `policies/pi05`): what is not its default. */
export function lerobotConfig(config: ModelConfig): object {
  const { actionDim, actionHorizon, imageKeys, imageSize, maxTokenLen } = config;
  const pi0 = configModelType(config) === "pi0";
  const images = imageKeys.map((key) => [
    `observation.images.${key}`,
    { type: "VISUAL", shape: [3, imageSize, imageSize] },
  ]);
  const norm = pi0 ? "MEAN_STD" : "QUANTILES";
  return {
    type: pi0 ? "pi0" : "pi05",
    n_obs_steps: 1,
    input_features: {
      ...Object.fromEntries(images),
      "observation.state": { type: "STATE", shape: [actionDim] },
    },
    output_features: { action: { type: "ACTION", shape: [actionDim] } },
    device: "cpu",
    paligemma_variant: "gemma_2b",
    action_expert_variant: "gemma_300m",
    dtype: "float32",
    chunk_size: actionHorizon,
    n_action_steps: actionHorizon,
    max_state_dim: actionDim,
    max_action_dim: actionDim,
    image_resolution: [imageSize, imageSize],
    tokenizer_max_length: maxTokenLen,
    normalization_mapping: { VISUAL: "IDENTITY", STATE: norm, ACTION: norm },
  };
}
