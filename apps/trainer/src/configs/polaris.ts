/**
 * @file PolaRiS's DROID policies (openpi `misc/polaris_config.py`): joint positions, a short co-training of nine parts
 * DROID and one part simulated demonstrations that starts from PolaRiS's own checkpoints.
 */
import type { ModelOptions } from "@insula/model-types";
import { defineConfig } from "./defaults.js";
import { JOINT_POSITION_SCHEDULE } from "./droid.js";
import type { TrainConfig } from "./types.js";

/**
 * 1000 steps of 128 samples, all of them warm-up. The datasets are named as in upstream's RLDS folder, since nobody
 * publishes them in LeRobot's format: folders of these names are found, others are given by `data.mixture`.
 */
function cotraining(name: string, model: Omit<ModelOptions, "size">): TrainConfig {
  return defineConfig({
    name,
    model,
    data: {
      robot: "droid",
      assetId: "droid",
      promptFromTask: true,
      deltaActions: [7, -1],
      mixture: [
        { repoId: "droid", weight: 0.9 },
        { repoId: "polaris_droid_cotrain_dataset", weight: 0.1 },
      ],
    },
    weights: `gs://openpi-assets/checkpoints/polaris/${name}/params`,
    lrSchedule: JOINT_POSITION_SCHEDULE,
    numTrainSteps: 1000,
    batchSize: 128,
    saveInterval: 1000,
    keepPeriod: 1000,
  });
}

export const POLARIS_CONFIGS: readonly TrainConfig[] = [
  cotraining("pi05_droid_jointpos_polaris", { pi05: true, actionHorizon: 15 }),
  cotraining("pi0_fast_droid_jointpos_polaris", {
    pi0Fast: true,
    actionDim: 8,
    actionHorizon: 10,
    maxTokenLen: 180,
  }),
  cotraining("pi0_droid_jointpos_polaris", { actionHorizon: 10, maxTokenLen: 100 }),
  // The same from another of its checkpoints.
  cotraining("pi0_droid_jointpos_100k_polaris", { actionHorizon: 10, maxTokenLen: 100 }),
];
