/** @file The check of a filled-in configuration: strict, so that a misspelt field is an error, not a silence. */
import { partOptions, TRAIN_PARTS } from "@insula/ki-model";
import { closestMatch, configModelType, InsulaError, MODEL_SIZES } from "@insula/model-types";
import { type Device, parseDevice } from "@insula/ort-session";
import { z } from "zod";
import { DEFAULT_CUDA, DEFAULT_VALIDATION } from "./defaults.js";
import { FOLDER_NAME, isFolderName } from "./folder-name.js";
import { ROBOTS, type RunConfig, VALIDATION_METRICS } from "./types.js";

const folderName = z.string().refine(isFolderName, { message: FOLDER_NAME, abort: true });
const count = z.int().positive();
const rate = z.number().nonnegative();
const share = z.number().min(0).lt(1);

/** A group of adapters; absent or null: none. */
const adapters = <const T extends readonly string[]>(einsums: T) =>
  z
    .strictObject({
      rank: count,
      alpha: z.number().positive().optional(),
      rslora: z.boolean().optional(),
      initB: z.enum(["zeros", "normal"]).optional(),
      targets: z.array(z.enum(einsums)).optional(),
    })
    .nullish();

const gemma = z.strictObject({
  width: count,
  depth: count,
  mlpDim: count,
  numHeads: count,
  numKvHeads: count,
  headDim: count,
  lora: z
    .strictObject({
      attn: adapters(["q_einsum", "kv_einsum", "qkv_einsum", "attn_vec_einsum"]),
      ffn: adapters(["gating_einsum", "linear"]),
    })
    .nullish(),
});

const model = z.strictObject({
  actionDim: count,
  actionHorizon: count,
  maxTokenLen: count,
  pi05: z.boolean(),
  knowledgeInsulation: z.boolean(),
  pi0Fast: z.boolean(),
  kiFastTokenLossWeight: rate,
  kiForm: z.enum(["one-pass", "two-pass"]),
  maskPadded: z.boolean(),
  promptFormat: z.enum(["fast", "pi05"]),
  discreteStateInput: z.boolean(),
  fastSkipTokens: z.int().nonnegative(),
  imageKeys: z.array(z.string()).min(1),
  imageSize: count,
  vocabSize: count,
  vlm: gemma,
  expert: gemma,
  siglip: z.strictObject({
    width: count,
    depth: count,
    mlpDim: count,
    numHeads: count,
    patchSize: count,
  }),
});

const schedule = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("cosine"),
    warmupSteps: z.int().nonnegative(),
    peakLr: rate,
    decaySteps: count,
    decayLr: rate,
  }),
  z.strictObject({
    type: z.literal("rsqrt"),
    warmupSteps: z.int().nonnegative(),
    peakLr: rate,
    timescale: z.number().positive(),
  }),
  z.strictObject({ type: z.literal("constant"), lr: rate }),
]);

const device = z.custom<Device>(isDevice, "expected cpu, cuda or cuda:<number>");

const BYTES = "expected a whole number of bytes above 0";

const cuda = z.strictObject({
  memoryLimit: z.int(BYTES).positive(BYTES).nullable(),
  arenaExtend: z.enum(["next-power-of-two", "same-as-requested"]).nullable(),
  tf32: z.boolean().nullable(),
  cudnnConvAlgoSearch: z.enum(["exhaustive", "heuristic", "default"]).nullable(),
});

const layers = z.int().nonnegative().optional();
const rematerialize = z.union(
  [z.literal("auto"), z.boolean(), z.strictObject({ siglip: layers, vlm: layers, expert: layers })],
  "expected auto, true, false or numbers of layers { siglip, vlm, expert }",
);

const validation = z
  .strictObject({
    interval: count.nullable(),
    episodes: count.nullable(),
    batches: count,
    sampledChunks: z.int().nonnegative(),
    denoiseSteps: count,
    metric: z.enum(VALIDATION_METRICS),
  })
  .refine(({ metric, sampledChunks }) => metric !== "action_error" || sampledChunks > 0, {
    path: ["metric"],
    message: "action_error needs validation.sampledChunks above 0",
  });

const filter = z
  .strictObject({
    episodes: z.array(z.int().nonnegative()).optional(),
    tasks: z.array(z.string()).min(1).optional(),
    taskPattern: z.string().optional(),
    success: z.boolean().optional(),
    successColumn: z.string().optional(),
    idle: z
      .union([
        z.boolean(),
        z.strictObject({
          column: z.string().optional(),
          dims: count.optional(),
          threshold: z.number().positive().optional(),
          minIdle: count.optional(),
          minKept: count.optional(),
          dropLast: z.int().nonnegative().optional(),
        }),
      ])
      .optional(),
    rangesFile: z.string().optional(),
  })
  .refine(({ tasks, taskPattern }) => tasks === undefined || taskPattern === undefined, {
    path: ["taskPattern"],
    message: "give tasks or taskPattern, not both",
  });

const mixtureEntry = z.strictObject({
  repoId: z.string().min(1),
  weight: z.number().positive(),
  robot: z.enum(ROBOTS).optional(),
  filter: filter.nullish(),
});

const fastModelTokenizer = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("fast"), path: z.string().min(1).nullable() }),
  z.strictObject({ type: z.literal("binning"), bins: z.int().min(2) }),
  z.strictObject({ type: z.literal("fsq"), path: z.string().min(1).nullable() }),
]);

const runConfig: z.ZodType<RunConfig> = z.strictObject({
  name: folderName,
  size: z.enum(MODEL_SIZES),
  model,
  data: z.strictObject({
    repoId: z.string().nullable(),
    assetId: folderName.regex(/^[\w./-]*$/, "expected a folder name of letters, digits and . _ -"),
    robot: z.enum(ROBOTS),
    promptFromTask: z.boolean(),
    defaultPrompt: z.string().nullable(),
    useQuantileNorm: z.boolean(),
    deltaActions: z.array(z.int()).nullable(),
    assetsDir: z.string().nullable(),
    // Checkpoints without it were trained without.
    augment: z.enum(["corrected", "upstream", "none"]).default("none"),
    onCorrupt: z.enum(["fatal", "skip"]).default("fatal"),
    heldOut: share,
    filter: filter.nullable().default(null),
    fps: z.number().positive().nullable().default(null),
    // Checkpoints without it were trained with FAST.
    fastModelTokenizer: fastModelTokenizer.default({ type: "fast", path: null }),
    mixture: z.array(mixtureEntry).min(1).nullable().default(null),
  }),
  optimizer: z.strictObject({
    b1: share,
    b2: share,
    eps: z.number().positive(),
    weightDecay: rate,
    noWeightDecay: z.array(z.string()).default([]),
    clipGradientNorm: z.number().positive(),
    clip: z.enum(["joint", "group"]).default("joint"),
  }),
  lrSchedule: schedule,
  emaDecay: share.nullable(),
  batchSize: count,
  gradientAccumulation: count.default(1),
  flowDraws: count.default(1),
  insulate: z.boolean().default(true),
  numTrainSteps: count,
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1),
  numWorkers: z.int().min(0).max(1024).default(0),
  logInterval: count,
  // Checkpoints without these were trained without validation.
  histogramInterval: count.nullable().default(null),
  validation: validation.default({ ...DEFAULT_VALIDATION, interval: null }),
  saveInterval: count,
  keepPeriod: count.nullable(),
  // Checkpoints of 0.1.0 and earlier have none of these.
  maxToKeep: count.nullable().default(1),
  checkpointBaseDir: z.string().nullable().default(null),
  maxSaveFailures: count.default(5),
  saveRetrySeconds: rate.default(30),
  emergencyDir: z.string().nullable().default(null),
  weights: z.string().nullable(),
  // Checkpoints of 0.1.0 and earlier have none of these.
  device: device.default("cpu"),
  runtime: z.enum(["node", "capi"]).nullable().default(null),
  cuda: cuda.default(DEFAULT_CUDA),
  computeType: z.enum(["float32", "bfloat16", "float16"]).default("float32"),
  train: z.enum(TRAIN_PARTS).default("all"),
  freeze: z.array(z.string()).default([]),
  frozenType: z.enum(["bfloat16", "float32"]).default("bfloat16"),
  lossRows: count.nullable().default(null),
  rematerialize: rematerialize.default("auto"),
  maxSkippedSteps: z.int().nonnegative().default(20),
});

/** Whether this is the name of a device. */
export function isDevice(value: unknown): value is Device {
  try {
    return typeof value === "string" && parseDevice(value) !== undefined;
  } catch {
    return false;
  }
}

/**
 * Check that `value` is a whole {@link RunConfig}.
 * @param reference a valid configuration, for suggestions of field names.
 * @throws InsulaError `config/field` naming the path of the first problem and, for an unknown field, the closest one,
 *   `model/train` for a part to train that the model does not have.
 */
export function checkRunConfig(value: unknown, reference: object = {}): RunConfig {
  const result = runConfig.safeParse(value);
  if (result.success) return checkTogether(result.data);
  const issue = result.error.issues[0]!;
  const path = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    // A list's entries are all like the reference's one.
    const fields = valueAt(
      reference,
      issue.path.map((part) => (typeof part === "number" ? "0" : String(part))),
    );
    const known = Object.keys(fields ?? {}).filter((name) => !issue.keys.includes(name));
    throw unknownField([...path, key], known);
  }
  const found = JSON.stringify(valueAt(value, path));
  throw new InsulaError("config/field", `config: ${path.join(".")}: ${issue.message}, found ${found}`);
}

/** What only two fields together can tell. */
function checkTogether(config: RunConfig): RunConfig {
  const { batchSize, gradientAccumulation, flowDraws, model } = config;
  const refuse = (field: string, expected: string, found: number) =>
    new InsulaError("config/field", `config: ${field}: expected ${expected}, found ${found}`);
  if (batchSize % gradientAccumulation !== 0) {
    throw refuse("gradientAccumulation", `a divisor of batchSize ${batchSize}`, gradientAccumulation);
  }
  if (config.data.mixture && config.data.repoId !== null) {
    throw new InsulaError(
      "config/field",
      `config: data.mixture: expected no data.repoId (or --dataset) beside it, found '${config.data.repoId}'`,
    );
  }
  checkActionTokens(config);
  const { only } = partOptions(model, config.train);
  const { metric } = config.validation;
  if (only && metric === (only === "action" ? "fast_loss" : "action_loss")) {
    throw new InsulaError(
      "config/field",
      `config: validation.metric: with train '${config.train}' there is no ${metric}`,
    );
  }
  if (!config.insulate && !model.knowledgeInsulation) {
    throw new InsulaError(
      "config/field",
      "config: insulate: expected true where the model is not pi05_ki, found false",
    );
  }
  if (model.pi0Fast && flowDraws > 1)
    throw refuse("flowDraws", "1 for pi0_fast, which has no expert", flowDraws);
  return config;
}

/** Tokens that pi0_fast generates at most, less those around the actions. */
const MAX_ACTION_TOKENS = 240;

/** Whether the model can have the action tokenizer, and say a chunk in it. */
function checkActionTokens({ model, data }: RunConfig): void {
  const { fastModelTokenizer: tokenizer } = data;
  if (tokenizer.type === "fast") return;
  const refuse = (message: string) =>
    new InsulaError(
      "config/field",
      `config: data.fastModelTokenizer.type: ${message}, found "${tokenizer.type}"`,
    );
  const type = configModelType(model);
  if (type === "pi0" || type === "pi05") throw refuse(`expected "fast", as ${type} has no action tokens`);
  if (type === "pi05_ki" && model.promptFormat === "pi05") {
    throw refuse('expected "fast" with model.promptFormat "pi05"');
  }
  const numbers = model.actionHorizon * model.actionDim;
  if (type === "pi0_fast" && tokenizer.type === "binning" && numbers > MAX_ACTION_TOKENS) {
    throw refuse(
      `expected "fast" or a smaller chunk: ${model.actionHorizon} · ${model.actionDim} = ${numbers} tokens of ` +
        `actions, at most ${MAX_ACTION_TOKENS} can be generated`,
    );
  }
}

/** The error for a field that does not exist, with the closest of `known`. */
export function unknownField(path: readonly string[], known: readonly string[]): InsulaError {
  const near = closestMatch(path.at(-1)!, known);
  const remedy = near
    ? `; did you mean '${[...path.slice(0, -1), near].join(".")}'?`
    : known.length > 0
      ? `; expected one of ${known.join(", ")}`
      : "";
  return new InsulaError("config/field", `config: unknown field '${path.join(".")}'${remedy}`);
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  let at = value;
  for (const key of path) at = (at as Record<string, unknown> | null | undefined)?.[key];
  return at;
}
