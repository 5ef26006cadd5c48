/**
 * @file The model family. Same strings as openpi's `models/model.py` `ModelType`, plus `pi05_ki`:
 * π0.5 trained with knowledge insulation (stop-gradient features for the expert, FAST tokens for the VLM).
 */
import { InsulaError } from "./error.js";

/** The model types, by name: plain strings, as openpi's enum has them, so that they survive JSON. */
export const ModelType = {
  pi0: "pi0",
  pi05: "pi05",
  pi0_fast: "pi0_fast",
  pi05_ki: "pi05_ki",
} as const;

/** One of the model types: `"pi0"`, `"pi05"`, `"pi0_fast"` or `"pi05_ki"`. */
export type ModelType = (typeof ModelType)[keyof typeof ModelType];

/**
 * The model type that a configuration describes.
 * @throws InsulaError `config/ki-without-pi05` when `knowledgeInsulation` is set without `pi05`.
 */
export function modelTypeOf(config: {
  pi0Fast?: boolean;
  pi05?: boolean;
  knowledgeInsulation?: boolean;
}): ModelType {
  if (config.knowledgeInsulation && (!config.pi05 || config.pi0Fast)) {
    throw new InsulaError(
      "config/ki-without-pi05",
      "model config: knowledgeInsulation needs pi05: true (only π0.5 has the adaptive expert that it insulates)",
    );
  }
  if (config.pi0Fast) return ModelType.pi0_fast;
  if (config.pi05) return config.knowledgeInsulation ? ModelType.pi05_ki : ModelType.pi05;
  return ModelType.pi0;
}

/** Whether states and actions are normalised by quantiles (all but pi0, which uses z-scores; openpi `config.py`). */
export function usesQuantileNorm(type: ModelType): boolean {
  return type !== ModelType.pi0;
}
