/** @file The weights that a run begins with. */
import { statSync } from "node:fs";
import { addLora, initParams, isLora, type ParamTree } from "@insula/ki-model";
import { hasLora, InsulaError } from "@insula/model-types";
import { findCheckpoint, readParams, readTree } from "./checkpoint.js";
import type { RunConfig } from "./configs/types.js";

/**
 * Random weights from the seed, or those that `config.weights` names: a run, a checkpoint or a `.safetensors` file.
 * Adapters that these lack are drawn from the seed.
 * @throws InsulaError `weights/not-local` for a cloud address, `weights/missing` for a path that is not there,
 *   `weights/lora` for adapters that the model does not have.
 */
export async function initialParams(config: RunConfig): Promise<ParamTree> {
  const { weights } = config;
  if (weights === null) return initParams(config.model, config.seed);
  if (/^[a-z]+:\/\//.test(weights)) {
    throw new InsulaError(
      "weights/not-local",
      `config '${config.name}' starts from ${weights}; download it, convert it to safetensors and give --weights PATH, ` +
        "or --set weights=null to start from random weights",
    );
  }
  const stat = statSync(weights, { throwIfNoEntry: false });
  if (!stat) throw new InsulaError("weights/missing", `--weights ${weights}: not there`);
  const params = stat.isDirectory()
    ? await readParams(await findCheckpoint(weights))
    : await readTree(weights);
  const { vlm, expert } = config.model;
  if (hasLora(vlm) || hasLora(expert)) return addLora(params, config.model, config.seed).params;
  const adapter = [...params.keys()].find(isLora);
  if (adapter === undefined) return params;
  throw new InsulaError(
    "weights/lora",
    `--weights ${weights}: has adapters (${adapter}), the model has none; set model.vlm.lora and model.expert.lora as ` +
      "they were, or merge them: insula weights merge-lora",
  );
}
