/** @file Released weights as a checkpoint of this project: parameters, configuration, normalisation statistics. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  configModelType,
  type ModelConfig,
  type ModelSize,
  type ModelType,
  SIZE_PRESETS,
} from "@insula/model-types";
import { writeSynced } from "@insula/safetensors";
import { assertNew, type ImportReport, importWeights, writeNew } from "@insula/weights";
import { getConfig } from "../configs/registry.js";
import { resolveConfig } from "../configs/resolve.js";
import type { RunConfig } from "../configs/types.js";
import { findNormStats } from "./norm-stats.js";

/** Options of {@link importCheckpoint}. */
export interface ImportCheckpointOptions {
  /** A named configuration: robot, horizon, prompt length. Default: the DROID one of the model type. */
  config?: string;
  modelType?: ModelType;
  /** Where the widths of an expert come from that the weights do not have. */
  size?: ModelSize;
  siglipHeads?: number;
  seed?: number;
}

/** What was made. */
export interface ImportedCheckpoint {
  readonly config: RunConfig;
  readonly report: ImportReport;
  /** Files with normalisation statistics that came along. */
  readonly normStats: readonly string[];
}

const DEFAULT_CONFIGS: Record<ModelType, string> = {
  pi0: "pi0_droid",
  pi05: "pi05_droid",
  pi05_ki: "pi05_droid_ki",
  pi0_fast: "pi0_fast_droid",
};

/**
 * Import `source` into the folder `out`, complete or not at all. What lies beside the weights as normalisation
 * statistics (openpi's `assets/`, LeRobot's normaliser) comes along.
 * @throws InsulaError as `importWeights`, `weights/exists`, `config/unknown`.
 */
export async function importCheckpoint(
  source: string,
  out: string,
  options: ImportCheckpointOptions = {},
): Promise<ImportedCheckpoint> {
  const { config: name, siglipHeads, seed, size } = options;
  await assertNew(out);
  const declared = name === undefined ? undefined : getConfig(name);
  const modelType =
    options.modelType ?? (declared ? configModelType({ ...OFF, ...declared.model }) : undefined);
  let done: ImportedCheckpoint | undefined;
  await writeNew(out, async (dir) => {
    await mkdir(join(dir, "params"));
    const { config: model, report } = await importWeights(source, join(dir, "params", "params.safetensors"), {
      ...(modelType === undefined ? {} : { modelType }),
      ...(siglipHeads === undefined ? {} : { siglipHeads }),
      ...(seed === undefined ? {} : { seed }),
      model: {
        ...declared?.model,
        ...(size ? { expert: { ...SIZE_PRESETS[size].expert, ...declared?.model.expert } } : {}),
      },
    });
    const config = runConfig(name ?? DEFAULT_CONFIGS[configModelType(model)], model);
    const stats = await findNormStats(source, config.data.assetId);
    for (const [path, text] of stats) await writeSynced(join(dir, path), text);
    done = { config, report, normStats: [...stats.keys()] };
    return { "config.json": config };
  });
  return done!;
}

const OFF = { pi05: false, knowledgeInsulation: false, pi0Fast: false };

/** The named configuration with the imported model's sizes. */
function runConfig(name: string, model: ModelConfig): RunConfig {
  const config = resolveConfig(getConfig(name), { size: sizeOfModel(model), overrides: { model } });
  return { ...config, weights: null };
}

/** The size whose language model is as wide, or the smallest that is wider: a label, the sizes are in `model`. */
function sizeOfModel({ vlm }: ModelConfig): ModelSize {
  const sizes: ModelSize[] = ["tiny", "small", "full"];
  return sizes.find((size) => SIZE_PRESETS[size].vlm.width >= vlm.width) ?? "full";
}
