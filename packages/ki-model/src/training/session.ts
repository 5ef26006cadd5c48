/**
 * @file A training session over an artifact: parameters, gradients, moments and average stay on the device, bound
 * once to every graph and updated in place. A step takes a batch and a learning rate over and brings scalars back.
 */
import { InsulaError } from "@insula/model-types";
import {
  type Binding,
  createSession,
  type DeviceTensor,
  parseDevice,
  type Session,
  type SessionMemory,
  type Tensor,
  tensor,
} from "@insula/ort-session";
import type { Artifact } from "../artifact.js";
import {
  bound,
  type DeviceTensors,
  type ExecutionOptions,
  executionOptions,
  makeAll,
  releaseAll,
} from "../device-tensors.js";
import { pickFeeds, trainFeeds } from "../feeds.js";
import { toGraphParams } from "../params/layout.js";
import { paramSpecs } from "../params/spec.js";
import type {
  FlowDraws,
  LossMetrics,
  ParamTree,
  StepMetrics,
  TrainBatch,
  TrainSession,
} from "../train-session.js";
import { type BoundSession, openBound } from "./bound-session.js";
import { createBuckets } from "./buckets.js";
import { INITIAL_LOSS_SCALE, type LossScale, nextLossScale } from "./loss-scale.js";
import { placeState, type StateTensors } from "./state-tensors.js";

/** What to train: an artifact, and the parameters to start from, all of the model's under openpi's names. */
export interface TrainSessionOptions extends ExecutionOptions {
  artifact: Artifact;
  params: ParamTree;
}

/**
 * Start training from `params` with zero moments.
 * @throws InsulaError when `params` are not the model's, `session/device` when the device does not load; no session
 *   and no tensor is left open then.
 */
export async function createTrainSession({
  artifact,
  params,
  ...given
}: TrainSessionOptions): Promise<TrainSession> {
  const { manifest, models } = artifact;
  const { config, options } = manifest;
  const specs = paramSpecs(config);
  const graph = toGraphParams(specs, params);
  const trainable = specs.filter((_, i) => manifest.params[i]!.trainable);
  const execution = executionOptions(given);
  // Buckets, optimizer and evaluation run in turns.
  const sessionOptions = { ...execution, sharedArena: true };
  const { emaDecay } = options.optimizer;
  const [tensors, optimizer] = await makeAll<[StateTensors, Session]>([
    placeState(specs, trainable, graph, {
      ...execution,
      emaDecay,
      stored: new Set(manifest.params.filter((p) => p.dtype === "bfloat16").map((p) => p.name)),
    }),
    // Every node of it is needed as it stands; looking for more takes ONNX Runtime longer than all the rest.
    createSession(models["optimizer_model"]!, { ...sessionOptions, optimizationLevel: "none" }),
  ]);
  let update: Binding;
  try {
    update = optimizer.bind(optimizerTensors(optimizer, tensors));
  } catch (error) {
    await releaseAll([optimizer, tensors]);
    throw error;
  }
  const open = (model: string): Promise<BoundSession> =>
    openBound(models[model]!, sessionOptions, ({ inputs, outputs }) => ({
      inputs: bound(inputs, tensors.weights),
      outputs: bound(outputs, tensors.grads, "grad/"),
    }));
  const training = createBuckets(artifact, open);
  let evaluation: BoundSession | undefined;
  let step = 0;
  let lossScale = options.optimizer.lossScaling ? INITIAL_LOSS_SCALE : undefined;

  const isParam = (name: string) => tensors.weights.byName.has(name);
  const run = ({ session, run }: BoundSession, batch: TrainBatch, draws: FlowDraws) =>
    run(pickFeeds(session.inputs, { ...trainFeeds(batch, draws), ...scaleFeed(lossScale) }, isParam));

  return {
    async step(batch, draws, lr) {
      checkLossRows(artifact, batch);
      const { bucket, batch: fitted } = await training.pick(batch);
      const losses = readLosses(await run(bucket, fitted, draws));
      step++;
      const norms = await update.run({
        lr: tensor(Float32Array.of(lr), []),
        step: tensor(Float32Array.of(step), []),
        ...scaleFeed(lossScale),
      });
      const metrics = {
        ...losses,
        lr,
        ...readScalars(norms, ["grad_norm", "grad_norm_vlm", "grad_norm_expert", "param_norm"]),
        ...(lossScale ? { loss_scale: lossScale.scale } : {}),
      } as StepMetrics;
      const skipped = !Number.isFinite(metrics.grad_norm);
      if (lossScale) lossScale = nextLossScale(lossScale, skipped);
      return skipped ? { ...metrics, skipped: 1 } : metrics;
    },
    async evaluate(batch, draws) {
      checkLossRows(artifact, batch);
      evaluation ??= await open("eval_model");
      return readLosses(await run(evaluation, batch, draws));
    },
    state: async () => ({ step, ...(await tensors.read()), ...(lossScale ? { lossScale } : {}) }),
    async restore(saved) {
      await tensors.write(saved);
      step = saved.step;
      if (lossScale) lossScale = saved.lossScale ?? INITIAL_LOSS_SCALE;
    },
    memory() {
      const sessions = [optimizer, ...[...training.opened(), evaluation].map((open) => open?.session)];
      const all = sessions.flatMap((session) => session?.memory() ?? []);
      const [arena] = parseDevice(execution.device ?? "cpu").type === "cpu" ? all : [totalMemory(all)];
      return { tensors: tensors.bytes, ...(arena ? { arena } : {}) };
    },
    release: () => releaseAll([training, optimizer, evaluation, tensors]),
  };
}

function scaleFeed(lossScale: LossScale | undefined): Record<string, Tensor> {
  return lossScale ? { loss_scale: tensor(Float32Array.of(lossScale.scale), []) } : {};
}

/** The optimizer's tensors, each also the place of its result: an update in place. */
function optimizerTensors(
  { inputs, outputs }: Session,
  { weights, grads, mu, nu, ema }: StateTensors,
): { inputs: Record<string, DeviceTensor>; outputs: Record<string, DeviceTensor> } {
  const updated: [string, DeviceTensors | undefined][] = [
    ["", weights],
    ["mu/", mu],
    ["nu/", nu],
    ["ema/", ema],
  ];
  const tied = { inputs: bound(inputs, grads, "grad/"), outputs: {} };
  for (const [prefix, group] of updated) {
    if (!group) continue;
    Object.assign(tied.inputs, bound(inputs, group, prefix));
    Object.assign(tied.outputs, bound(outputs, group, `new/${prefix}`));
  }
  return tied;
}

/** The sum of the sessions' arenas; undefined without any. */
function totalMemory(all: readonly SessionMemory[]): SessionMemory | undefined {
  if (all.length === 0) return undefined;
  const sum = (key: keyof SessionMemory) => all.reduce((total, memory) => total + memory[key], 0);
  return {
    inUse: sum("inUse"),
    peak: sum("peak"),
    reserved: sum("reserved"),
    largest: Math.max(...all.map((memory) => memory.largest)),
    allocations: sum("allocations"),
  };
}

/** A sample with more targets than the graph has rows for would lose some silently. */
function checkLossRows(
  { manifest: { options, config } }: Artifact,
  { observation: { tokenLossMask } }: TrainBatch,
): void {
  const rows = options.lossRows;
  if (!tokenLossMask || rows === undefined) return;
  const length = config.maxTokenLen;
  for (let start = 0; start < tokenLossMask.data.length; start += length) {
    let count = 0;
    for (let i = start + 1; i < start + length; i++) count += tokenLossMask.data[i]!;
    if (count > rows) {
      throw new InsulaError(
        "model/loss-rows",
        `training: a sample has ${count} FAST targets, the graph was built for at most ${rows} (lossRows)`,
      );
    }
  }
}

function readLosses(out: Record<string, Tensor>): LossMetrics {
  return readScalars(out, ["total", "action_loss", "fast_loss", "fast_accuracy"]) as unknown as LossMetrics;
}

function readScalars(out: Record<string, Tensor>, names: readonly string[]): Record<string, number> {
  return Object.fromEntries(names.flatMap((name) => (out[name] ? [[name, Number(out[name].data[0])]] : [])));
}
