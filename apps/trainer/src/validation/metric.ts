/** @file What a model's validation can say, and which of it decides the best step. */
import { configModelType, InsulaError } from "@insula/model-types";
import { runArtifactOptions } from "../artifact.js";
import { type RunConfig, VALIDATION_METRICS, type ValidationMetric } from "../configs/types.js";

/**
 * `validation.metric`; where only the VLM is trained, its actions say nothing and `action_error`, the default, is
 * `total`.
 * @throws InsulaError `config/field` for a loss that the run does not have.
 */
export function validationMetric(config: RunConfig): ValidationMetric {
  const { metric } = config.validation;
  const has = VALIDATION_METRICS.filter((each) => each === "total" || !lacks(config).includes(each));
  if (has.includes(metric)) return metric;
  if (metric === "action_error") return "total";
  throw new InsulaError(
    "config/field",
    `config: validation.metric: this run has no ${metric}; expected one of ${has.join(", ")}`,
  );
}

/** Chunks to sample: none where the action expert is not trained. */
export function chunksToSample(config: RunConfig): number {
  return lacks(config).includes("action_error") ? 0 : config.validation.sampledChunks;
}

function lacks(config: RunConfig): readonly ValidationMetric[] {
  const type = configModelType(config.model);
  if (type === "pi0_fast") return ["action_loss"];
  const { only } = type === "pi05_ki" ? runArtifactOptions(config) : { only: "action" };
  if (only === "action") return ["fast_loss"];
  return only === "fast" ? ["action_error", "action_loss"] : [];
}
