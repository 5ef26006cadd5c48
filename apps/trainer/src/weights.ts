/** @file The weights that a run begins with. */
import { statSync } from "node:fs";
import { initParams, type ParamTree } from "@insula/ki-model";
import { InsulaError } from "@insula/model-types";
import { findCheckpoint, readParams, readTree } from "./checkpoint.js";
import type { RunConfig } from "./configs/types.js";

/**
 * Random weights from the seed, or those that `config.weights` names: a run, a checkpoint or a `.safetensors` file.
 * @throws InsulaError `weights/not-local` for a cloud address, `weights/missing` for a path that is not there.
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
  return stat.isDirectory() ? readParams(await findCheckpoint(weights)) : readTree(weights);
}
