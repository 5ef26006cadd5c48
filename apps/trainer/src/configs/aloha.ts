/**
 * @file ALOHA (two ViperX arms): 14 joint values, of each arm six joints and a gripper, 50 Hz. Numbers are openpi's.
 * Statistics are named after the station (`trossen`), whose grippers they measure.
 */
import { defineConfig } from "./defaults.js";
import type { DataConfig, TrainConfig } from "./types.js";

const penUncap: Partial<DataConfig> & Pick<DataConfig, "robot" | "assetId"> = {
  robot: "aloha",
  repoId: "physical-intelligence/aloha_pen_uncap_diverse",
  assetId: "trossen",
  defaultPrompt: "uncap the pen",
  deltaActions: [6, -1, 6, -1],
};

export const ALOHA_CONFIGS: readonly TrainConfig[] = [
  defineConfig({
    name: "pi0_aloha_pen_uncap",
    model: {},
    data: { ...penUncap, assetsDir: "gs://openpi-assets/checkpoints/pi0_base/assets" },
    numTrainSteps: 20_000,
    weights: "gs://openpi-assets/checkpoints/pi0_base/params",
  }),
  defineConfig({
    name: "pi05_aloha_pen_uncap",
    model: { pi05: true },
    data: { ...penUncap, assetsDir: "gs://openpi-assets/checkpoints/pi05_base/assets" },
    numTrainSteps: 20_000,
    batchSize: 64,
    weights: "gs://openpi-assets/checkpoints/pi05_base/params",
  }),
  defineConfig({
    name: "pi0_aloha_sim",
    model: {},
    data: {
      robot: "aloha_sim",
      repoId: "lerobot/aloha_sim_transfer_cube_human",
      assetId: "lerobot/aloha_sim_transfer_cube_human",
      defaultPrompt: "Transfer cube",
    },
    numTrainSteps: 20_000,
    weights: "gs://openpi-assets/checkpoints/pi0_base/params",
  }),
];
