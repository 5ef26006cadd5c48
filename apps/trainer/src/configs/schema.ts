/** @file The check of a filled-in configuration: strict, so that a misspelt field is an error, not a silence. */
import { closestMatch, InsulaError, MODEL_SIZES } from "@insula/model-types";
import { type Device, parseDevice } from "@insula/ort-session";
import { z } from "zod";
import { DEFAULT_CUDA } from "./defaults.js";
import { ROBOTS, type RunConfig } from "./types.js";

const count = z.int().positive();
const rate = z.number().nonnegative();
const share = z.number().min(0).lt(1);

const gemma = z.strictObject({
  width: count,
  depth: count,
  mlpDim: count,
  numHeads: count,
  numKvHeads: count,
  headDim: count,
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

const runConfig: z.ZodType<RunConfig> = z.strictObject({
  name: z.string().min(1),
  size: z.enum(MODEL_SIZES),
  model,
  data: z.strictObject({
    repoId: z.string().nullable(),
    assetId: z.string().regex(/^[\w.-]+(\/[\w.-]+)*$/, "expected a relative folder name"),
    robot: z.enum(ROBOTS),
    promptFromTask: z.boolean(),
    defaultPrompt: z.string().nullable(),
    useQuantileNorm: z.boolean(),
    deltaActions: z.array(z.int()).nullable(),
    assetsDir: z.string().nullable(),
    // Checkpoints without it were trained without.
    augment: z.enum(["corrected", "upstream", "none"]).default("none"),
    heldOut: share,
  }),
  optimizer: z.strictObject({
    b1: share,
    b2: share,
    eps: z.number().positive(),
    weightDecay: rate,
    clipGradientNorm: z.number().positive(),
  }),
  lrSchedule: schedule,
  emaDecay: share.nullable(),
  batchSize: count,
  numTrainSteps: count,
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1),
  logInterval: count,
  saveInterval: count,
  keepPeriod: count.nullable(),
  weights: z.string().nullable(),
  // Checkpoints of 0.1.0 and earlier have none of these.
  device: device.default("cpu"),
  runtime: z.enum(["node", "capi"]).nullable().default(null),
  cuda: cuda.default(DEFAULT_CUDA),
  computeType: z.enum(["float32", "bfloat16", "float16"]).default("float32"),
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
 * @throws InsulaError `config/field` naming the path of the first problem and, for an unknown field, the closest one.
 */
export function checkRunConfig(value: unknown, reference: object = {}): RunConfig {
  const result = runConfig.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const path = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    const known = Object.keys(valueAt(reference, path) ?? {}).filter((name) => !issue.keys.includes(name));
    throw unknownField([...path, key], known);
  }
  const found = JSON.stringify(valueAt(value, path));
  throw new InsulaError("config/field", `config: ${path.join(".")}: ${issue.message}, found ${found}`);
}

/** The error for a field that does not exist, with the closest of `known`. */
export function unknownField(path: readonly string[], known: readonly string[]): InsulaError {
  const near = closestMatch(path.at(-1)!, known);
  const remedy = near
    ? `did you mean '${[...path.slice(0, -1), near].join(".")}'?`
    : `expected one of ${known.join(", ")}`;
  return new InsulaError("config/field", `config: unknown field '${path.join(".")}'; ${remedy}`);
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  let at = value;
  for (const key of path) at = (at as Record<string, unknown> | null | undefined)?.[key];
  return at;
}
