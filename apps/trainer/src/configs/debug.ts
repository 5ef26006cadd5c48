/**
 * @file Ten steps of two samples, to see that everything runs. Always at size tiny unless another is named:
 * the reference's `debug` also has dummy-sized Gemma stacks. And `bench_small`, the model of `pnpm bench step`, with the
 * shapes of the PyTorch and JAX baselines.
 */
import { defineConfig } from "./defaults.js";
import type { TrainConfig } from "./types.js";

const debug = {
  size: "tiny",
  data: { robot: "droid", assetId: "droid", promptFromTask: true },
  batchSize: 2,
  numTrainSteps: 10,
  logInterval: 1,
  saveInterval: 100,
} as const;

export const DEBUG_CONFIGS: readonly TrainConfig[] = [
  defineConfig({ ...debug, name: "debug", model: {} }),
  // The weights that `insula train debug --exp-name debug --checkpoint-base-dir checkpoints` leaves.
  defineConfig({
    ...debug,
    name: "debug_restore",
    model: {},
    weights: "./checkpoints/debug/debug/10",
  }),
  defineConfig({ ...debug, name: "debug_pi05", model: { pi05: true } }),
  defineConfig({
    ...debug,
    name: "debug_pi05_ki",
    model: { pi05: true, knowledgeInsulation: true, actionHorizon: 10 },
  }),
  defineConfig({
    ...debug,
    name: "bench_small",
    size: "small",
    batchSize: 4,
    model: {
      pi05: true,
      knowledgeInsulation: true,
      actionHorizon: 16,
      vocabSize: 4096,
      maskPadded: false,
    },
  }),
];
