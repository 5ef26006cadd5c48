/**
 * @file The training artifact: the ONNX models of one training set-up and a manifest that says what they are,
 * so that any ONNX Runtime can run them. Parameters are inputs, never part of the files.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { configModelType, InsulaError, type ModelConfig } from "@insula/model-types";
import {
  type DType,
  IR_VERSION,
  OPSET,
  type SerializedModel,
  serialize,
  type Value,
} from "@insula/onnx-grad";
import { writeSynced } from "@insula/safetensors";
import { buildDenoiseModel, buildPrefixModel, serializeModel } from "./inference/models.js";
import type { PrecisionOptions } from "./model/context.js";
import { matchPaths } from "./params/path-patterns.js";
import { countParams, type ParamGroup } from "./params/spec.js";
import { checkBuckets } from "./text-length.js";
import type { LossOptions } from "./training/losses.js";
import { buildOptimizer, DEFAULT_OPTIMIZER, type OptimizerOptions } from "./training/optimizer-model.js";
import { buildReset } from "./training/reset-model.js";
import { buildTrainingModel, lossScaling } from "./training/training-model.js";

export interface ArtifactOptions extends LossOptions, PrecisionOptions {
  /** Samples of one step. */
  batchSize: number;
  /** Micro-batches that a step is computed in, a divisor of `batchSize`; default 1. More need a `reset_model`, too. */
  gradientAccumulation?: number;
  /** Cameras in the training graph; default all of the configuration. */
  imageKeys?: readonly string[];
  /**
   * Text lengths below maxTokenLen for which there are training models of their own, `training_model_<length>`. A
   * batch runs on the shortest one that holds it: padding behind the longest text is never computed.
   */
  tokenBuckets?: readonly number[];
  /** Batch of the inference models; default 1. */
  inferenceBatchSize?: number;
  optimizer?: Partial<OptimizerOptions>;
}

/** A parameter as the manifest lists it. */
export interface ManifestParam {
  /** Input name in the graphs; `grad/…`, `mu/…`, `nu/…`, `ema/…` carry the same name. */
  name: string;
  /** openpi's name in checkpoint files, and the index on its stacked axes, taken as one. */
  path: string;
  layer?: number;
  /** Lengths of the stacked axes. */
  stack?: readonly number[];
  /** Element type in graphs: float32, or that of frozen parameters. */
  dtype: DType;
  /** Shape in graphs, and the file shape and axis order it comes from. */
  shape: readonly number[];
  fileShape: readonly number[];
  perm: readonly number[];
  group: ParamGroup;
  /** Whether the training model has a gradient for it. */
  trainable: boolean;
}

/** A graph input or output. */
export interface ManifestTensor {
  name: string;
  dtype: string;
  shape: readonly number[];
}

/** One ONNX file: its name in the artifact's folder, its digest, and what it takes and gives. */
export interface ManifestModel {
  file: string;
  sha256: string;
  inputs: ManifestTensor[];
  outputs: ManifestTensor[];
}

/** manifest.json: what the models were built from and how to feed them. Parameter values are no part of it. */
export interface Manifest {
  format: "insula-training-artifact/1";
  modelType: string;
  config: ModelConfig;
  options: ArtifactOptions & { optimizer: OptimizerOptions };
  /** SHA-256 over configuration and options. */
  configHash: string;
  /** SHA-256 over the models: what a training log names. */
  artifactHash: string;
  opset: number;
  irVersion: number;
  params: ManifestParam[];
  paramCounts: Record<ParamGroup, number>;
  models: Record<string, ManifestModel>;
}

/** A manifest and the serialised models that it lists, in memory; {@link writeArtifact} makes them files. */
export interface Artifact {
  manifest: Manifest;
  /** Model name → bytes: training_model, eval_model, optimizer_model, and prefix_model and denoise_model. */
  models: Record<string, Uint8Array<ArrayBuffer>>;
}

/**
 * Build the artifact of a configuration.
 * @throws InsulaError `artifact/bucket`, `model/noWeightDecay` for a pattern that is none or matches no parameter, and
 *   as {@link buildTrainingModel}
 */
export function buildArtifact(config: ModelConfig, options: ArtifactOptions): Artifact {
  const optimizer: OptimizerOptions = {
    ...DEFAULT_OPTIMIZER,
    ...options.optimizer,
    ...(lossScaling(options) ? { lossScaling: true } : {}),
  };
  const resolved = { ...options, imageKeys: options.imageKeys ?? config.imageKeys, optimizer };
  const training = buildTrainingModel(config, options);
  const { context, trainable } = training;
  matchPaths(context.specs, optimizer.noWeightDecay, "noWeightDecay");
  const parts: Record<string, { model: SerializedModel; outputs: ReadonlyMap<string, Value> }> = {};
  const put = (name: string, model: SerializedModel, outputs: ReadonlyMap<string, Value>) => {
    parts[name] = { model, outputs };
  };
  put(
    "training_model",
    serialize(context.graph, training.outputs, { name: "training_model" }),
    training.outputs,
  );
  put(
    "eval_model",
    serialize(context.graph, training.evalOutputs, { name: "eval_model" }),
    training.evalOutputs,
  );
  for (const length of checkBuckets(config, options.tokenBuckets)) {
    const name = bucketModel(length);
    const bucket = buildTrainingModel({ ...config, maxTokenLen: length }, bucketOptions(options, length));
    put(name, serialize(bucket.context.graph, bucket.outputs, { name }), bucket.outputs);
  }
  const update = buildOptimizer(trainable, optimizer);
  put(
    "optimizer_model",
    serialize(update.graph, update.outputs, { name: "optimizer_model" }),
    update.outputs,
  );
  if ((options.gradientAccumulation ?? 1) > 1) {
    const reset = buildReset(trainable);
    put("reset_model", serialize(reset.graph, reset.outputs, { name: "reset_model" }), reset.outputs);
  }
  if (configModelType(config) !== "pi0_fast") {
    const inference = {
      batchSize: options.inferenceBatchSize ?? 1,
      imageKeys: resolved.imageKeys,
      ...(options.computeType ? { computeType: options.computeType } : {}),
      ...(options.freeze ? { freeze: options.freeze } : {}),
      ...(options.frozenType ? { frozenType: options.frozenType } : {}),
    };
    for (const [name, build] of [
      ["prefix_model", buildPrefixModel],
      ["denoise_model", buildDenoiseModel],
    ] as const) {
      const built = build(config, inference);
      put(name, serializeModel(built, name), built.outputs);
    }
  }

  const models: Artifact["models"] = {};
  const listed: Manifest["models"] = {};
  for (const [name, { model, outputs }] of Object.entries(parts)) {
    models[name] = model.bytes;
    listed[name] = {
      file: `${name}.onnx`,
      sha256: sha256(model.bytes),
      inputs: model.inputs.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
      outputs: [...outputs].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    };
  }
  const trained = new Set(trainable.map((s) => s.name));
  const manifest: Manifest = {
    format: "insula-training-artifact/1",
    modelType: configModelType(config),
    config,
    options: resolved,
    configHash: sha256(new TextEncoder().encode(JSON.stringify([config, resolved]))),
    artifactHash: sha256(
      new TextEncoder().encode(
        Object.values(listed)
          .map((m) => m.sha256)
          .join(),
      ),
    ),
    opset: OPSET,
    irVersion: IR_VERSION,
    params: context.specs.map(({ name, path, layer, stack, shape, fileShape, perm, group }) => ({
      name,
      path,
      ...(layer === undefined ? {} : { layer }),
      ...(stack === undefined ? {} : { stack }),
      dtype: context.param(path, layer).dtype,
      shape,
      fileShape,
      perm,
      group,
      trainable: trained.has(name),
    })),
    paramCounts: countParams(context.specs),
    models: listed,
  };
  return { manifest, models };
}

/** Name of the training model for texts of at most `length` tokens. */
export function bucketModel(length: number): string {
  return `training_model_${length}`;
}

/** No sample of a bucket has more targets than its text has tokens behind the first. */
function bucketOptions(options: ArtifactOptions, length: number): ArtifactOptions {
  return options.lossRows === undefined
    ? options
    : { ...options, lossRows: Math.min(options.lossRows, length - 1) };
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Write the artifact into folder `dir`: `<model>.onnx` files, and last the manifest. */
export async function writeArtifact({ manifest, models }: Artifact, dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  for (const [name, bytes] of Object.entries(models))
    await writeWhole(join(dir, manifest.models[name]!.file), bytes);
  await writeWhole(
    join(dir, "manifest.json"),
    new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`),
  );
}

/** Write beside, fsync, rename. */
async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const beside = `${path}.partial`;
  try {
    await writeSynced(beside, bytes);
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}

/**
 * Read an artifact folder, checking every file against its hash.
 * @throws InsulaError `artifact/format` or `artifact/corrupt`, naming the file.
 */
export async function readArtifact(dir: string): Promise<Artifact> {
  const path = join(dir, "manifest.json");
  const manifest = JSON.parse(await readFile(path, "utf8")) as Manifest;
  if (manifest.format !== "insula-training-artifact/1") {
    throw new InsulaError(
      "artifact/format",
      `${path}: expected format insula-training-artifact/1, found ${manifest.format}`,
    );
  }
  const models: Artifact["models"] = {};
  for (const [name, { file, sha256: expected }] of Object.entries(manifest.models)) {
    const bytes = new Uint8Array(await readFile(join(dir, file)));
    const found = sha256(bytes);
    if (found !== expected) {
      throw new InsulaError(
        "artifact/corrupt",
        `${join(dir, file)}: expected sha256 ${expected}, found ${found}`,
      );
    }
    models[name] = bytes;
  }
  return { manifest, models };
}
