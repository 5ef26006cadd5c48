/** @file Whether a run is validated, and with what. */
import type { ExecutionOptions, TrainSession } from "@insula/ki-model";
import type { StepHook } from "../train/parts.js";
import { validationHook } from "./hook.js";
import { chunksToSample, validationMetric } from "./metric.js";
import { servedWeights } from "./served-weights.js";
import { createValidator, type ValidationData } from "./validation.js";

export interface OpenValidationOptions {
  data: ValidationData;
  session: TrainSession;
  execution: ExecutionOptions;
  runDir: string;
  log(line: string): void;
  signal?: AbortSignal;
}

/**
 * The hook that validates, or undefined when the configuration asks for none or nothing is held out. The caller
 * releases it before the session.
 * @throws InsulaError `config/field` for a metric that the model does not have.
 */
export function openValidation({
  data,
  session,
  execution,
  runDir,
  log,
  signal,
}: OpenValidationOptions): { hook: StepHook; release(): Promise<void> } | undefined {
  const { config, split, spec } = data;
  const { interval, batches } = config.validation;
  if (interval === null) return undefined;
  const metric = validationMetric(config);
  if (split.heldOut.length === 0) {
    log("validation  none: no episode is held out (data.heldOut)");
    return undefined;
  }
  const weights = servedWeights(config) === "ema" ? "average weights" : "weights";
  log(
    `validation  every ${interval} steps: ${weights} on ${batches} batches and ${chunksToSample(config)} sampled chunks of ` +
      `held-out episodes; the best step is that of the lowest ${metric}`,
  );
  const validator = createValidator({ data, session, execution });
  const dims = spec.actionNames;
  const hook = validationHook({ config, metric, validator, dims, runDir, ...(signal ? { signal } : {}) });
  return { hook, release: validator.release };
}
