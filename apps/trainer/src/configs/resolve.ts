/**
 * @file From a declared configuration to one that can run: sizes filled in, settings that only make sense
 * for pretrained full-size weights replaced at small sizes, the user's overrides on top, everything checked.
 */
import {
  InsulaError,
  MODEL_SIZES,
  type ModelConfig,
  type ModelSize,
  makeModelConfig,
  SIZE_PRESETS,
} from "@insula/model-types";
import type { LrSchedule } from "../schedule.js";
import { assertKnownFields } from "./known-fields.js";
import { isRecord, mergeOverrides, type Overrides } from "./overrides.js";
import { checkRunConfig } from "./schema.js";
import type { RunConfig, TrainConfig } from "./types.js";
import { withVariants } from "./variants.js";

/**
 * Settings of a run at a size that is trained from scratch. The declared ones fine-tune pretrained weights
 * for tens of thousands of steps; at 200 steps their warm-up would not even end.
 */
const FROM_SCRATCH: Record<Exclude<ModelSize, "full">, { batchSize: number; peakLr: number }> = {
  tiny: { batchSize: 4, peakLr: 3e-3 },
  small: { batchSize: 4, peakLr: 3e-4 },
};

/** What a validation looks at, at these sizes: four of them take less than a tenth of the run. */
const SCRATCH_VALIDATION = { batches: 2, sampledChunks: 8 };

/** Warm-up over 5 % of the run, cosine down to a tenth of the peak at its end. */
export function scaledSchedule(peakLr: number, numTrainSteps: number): LrSchedule {
  return {
    type: "cosine",
    warmupSteps: Math.round(0.05 * numTrainSteps),
    peakLr,
    decaySteps: numTrainSteps,
    decayLr: peakLr / 10,
  };
}

/** At which size, and with what on top. */
export interface Resolution {
  size: ModelSize;
  /** The fields of the user's files (`loadConfig`), one record each: over what the size sets; `size` alone decides on it. */
  own?: readonly Overrides[];
  /** Over everything: the command line's. */
  overrides?: Overrides;
}

/**
 * Resolve `config` at `size`. At tiny and small: random weights and the dataset's statistics, a batch of 4 (or the declared one when that
 * is smaller), images as they are, a schedule over the run's length, at least twenty console lines, four validations, and an EMA that
 * looks back over at most a tenth of the run (the declared decay would still hold the random initial weights at the end).
 * What `own` and `overrides` say stands at every size.
 * @throws InsulaError `config/field` when an override names an unknown field or a value of the wrong kind.
 */
export function resolveConfig(config: TrainConfig, options: Resolution): RunConfig {
  const { own = [], overrides = {} } = options;
  const layers = [...own, overrides].map((layer) =>
    isRecord(layer["model"]) ? { ...layer, model: withVariants(layer["model"]) } : layer,
  );
  for (const { size } of layers) assertSize(size);
  const size = (overrides["size"] as ModelSize | undefined) ?? options.size;
  const base: RunConfig = { ...structuredClone(config), size, model: modelConfig(config.model, size, []) };
  const models = layers.flatMap(({ model }: Overrides) => (model === undefined ? [] : [model]));
  // A model with a misspelt field may lack the right one, and that is no error to begin with.
  const known = reference(base) as { model: object };
  for (const model of models) assertKnownFields(model, known.model, ["model"]);
  const merged = (under: RunConfig): Overrides => ({
    ...(layers.reduce<unknown>((at, { model, ...rest }) => mergeOverrides(at, rest), under) as Overrides),
    size,
    model: modelConfig(config.model, size, models),
  });
  // Once against the declared settings, so that a wrong number of steps is an error before it is used.
  const checked = checkRunConfig(merged(base), reference(base));
  if (size === "full") return checked;
  const { batchSize, peakLr } = FROM_SCRATCH[size];
  const steps = checked.numTrainSteps;
  // What is declared for another size is pretrained at that one, and its statistics are those of that checkpoint.
  const forThisSize = config.size === size;
  const scratch: RunConfig = {
    ...base,
    weights: forThisSize ? base.weights : null,
    data: { ...base.data, augment: "none", assetsDir: forThisSize ? base.data.assetsDir : null },
    batchSize: Math.min(batchSize, config.batchSize),
    gradientAccumulation: 1,
    numWorkers: 0, // A step is longer than its data, and threads take a second to start.
    lrSchedule: scaledSchedule(peakLr, steps),
    emaDecay: base.emaDecay === null ? null : Math.min(base.emaDecay, Math.max(0, 1 - 10 / steps)),
    logInterval: Math.min(base.logInterval, Math.max(1, Math.round(steps / 20))),
    histogramInterval: shortened(base.histogramInterval, steps / 10),
    validation: {
      ...base.validation,
      interval: shortened(base.validation.interval, steps / 4),
      batches: Math.min(base.validation.batches, SCRATCH_VALIDATION.batches),
      sampledChunks: Math.min(base.validation.sampledChunks, SCRATCH_VALIDATION.sampledChunks),
    },
  };
  return checkRunConfig(merged(scratch), reference(scratch));
}

/** Before anything is filled in by it. */
function assertSize(size: unknown): void {
  if (size === undefined || MODEL_SIZES.some((known) => known === size)) return;
  throw new InsulaError(
    "config/field",
    `config: size: expected one of ${MODEL_SIZES.join(", ")}, found ${JSON.stringify(size)}`,
  );
}

/** At most `steps` apart, but not below ten: a run of a few steps has better things to do. */
function shortened(interval: number | null, steps: number): number | null {
  return interval === null ? null : Math.min(interval, Math.max(10, Math.floor(steps)));
}

function modelConfig(
  declared: TrainConfig["model"],
  size: ModelSize,
  layers: readonly unknown[],
): ModelConfig {
  const wrong = layers.find((layer) => typeof layer !== "object" || layer === null);
  if (wrong !== undefined) {
    throw new InsulaError("config/field", `config: model: expected fields, found ${JSON.stringify(wrong)}`);
  }
  const { vlm, expert, siglip } = SIZE_PRESETS[size];
  const merged = [declared, ...layers].reduce<unknown>(mergeOverrides, { vlm, expert, siglip });
  for (const stack of ["vlm", "expert", "siglip"] as const) {
    const found = (merged as Overrides)[stack];
    if (typeof found === "object" && found !== null) continue;
    throw new InsulaError(
      "config/field",
      `config: model.${stack}: expected fields, found ${JSON.stringify(found)}`,
    );
  }
  return makeModelConfig({ size, ...(merged as TrainConfig["model"]) });
}

const ADAPTERS = { rank: 0, alpha: 0, rslora: false, initB: "zeros", targets: [] };
const LORA = { attn: ADAPTERS, ffn: ADAPTERS };

const IDLE = { column: "", dims: 0, threshold: 0, minIdle: 0, minKept: 0, dropLast: 0 };
const FILTER = {
  episodes: [],
  tasks: [],
  taskPattern: "",
  success: true,
  successColumn: "",
  idle: IDLE,
  rangesFile: "",
};
const DATA = {
  filter: FILTER,
  fastModelTokenizer: { type: "fast", path: null, bins: 0 },
  mixture: [{ repoId: "", weight: 0, robot: "", filter: FILTER }],
};
const REMATERIALIZE = { siglip: 0, vlm: 0, expert: 0 };

/** Field names for suggestions: of a schedule and an action tokenizer of every kind, of whatever may be absent. */
function reference(config: RunConfig): object {
  const { vlm, expert } = config.model;
  const model = { ...config.model, vlm: { ...vlm, lora: LORA }, expert: { ...expert, lora: LORA } };
  return {
    ...config,
    model,
    data: { ...config.data, ...DATA },
    rematerialize: REMATERIALIZE,
    lrSchedule: { lr: 0, timescale: 0, ...scaledSchedule(0, 1), ...config.lrSchedule },
  };
}
