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
  DeviceParams,
  FlowDraws,
  LossMetrics,
  ParamTree,
  StepMetrics,
  TrainBatch,
  TrainSession,
  Weights,
} from "../train-session.js";
import { combineLosses, microBatches } from "./accumulate.js";
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
  const { gradientAccumulation: accumulation = 1 } = options;
  const cuda = parseDevice(execution.device ?? "cpu").type === "cuda";
  // Product and sum in one kernel begin with a copy of the sum to the result: on CUDA a copy onto itself, which is not
  // defined. The CPU's kernel may.
  const separate = cuda && accumulation > 1 ? { disabledOptimizers: ["MatMulAddFusion"] } : {};
  const open = (model: string, weights: Weights = "raw"): Promise<BoundSession> =>
    openBound(models[model]!, { ...sessionOptions, ...separate }, ({ inputs, outputs }) => ({
      inputs: {
        ...bound(inputs, lentParams(tensors, weights)),
        // Where a gradient is a sum, it is made where the sum so far lies.
        ...bound(inputs, tensors.grads, "sum/"),
      },
      outputs: bound(outputs, tensors.grads, "grad/"),
    }));
  const training = createBuckets(artifact, open);
  const evaluation = new Map<Weights, BoundSession>();
  let reset: BoundSession | undefined;
  /** Sums start from nothing, whatever a step that failed or was not finite has left. */
  const clearSums = async () => {
    if (accumulation === 1) return;
    reset ??= await open("reset_model");
    await reset.run({ zero: tensor(new Float32Array(1), []) });
  };
  let step = 0;
  let lossScale = options.optimizer.lossScaling ? INITIAL_LOSS_SCALE : undefined;

  const isBound = (name: string) => tensors.weights.byName.has(name) || name.startsWith("sum/");
  /** The losses of a batch, micro-batch by micro-batch; `pick` chooses the session of each. */
  const run = async (
    whole: { batch: TrainBatch; draws: FlowDraws },
    pick: PickSession,
  ): Promise<LossMetrics> => {
    const parts =
      accumulation === 1
        ? [{ ...whole, ...WHOLE }]
        : microBatches(whole, {
            ...config,
            batchSize: options.batchSize,
            gradientAccumulation: accumulation,
          });
    const done: { part: (typeof parts)[number]; losses: LossMetrics }[] = [];
    for (const part of parts) {
      const { session, batch } = await pick(part.batch);
      const feeds = {
        ...trainFeeds(batch, part.draws),
        ...scaleFeed(lossScale),
        action_share: tensor(Float32Array.of(part.shares.action_loss), []),
      };
      done.push({
        part,
        losses: readLosses(await session.run(pickFeeds(session.session.inputs, feeds, isBound))),
      });
    }
    return combineLosses(config, done);
  };

  return {
    async step(batch, draws, lr) {
      checkLossRows(artifact, batch);
      await clearSums();
      const losses = await run({ batch, draws }, training.pick);
      step++;
      const loss = Float32Array.of(losses.total);
      const norms = await update.run({
        lr: tensor(Float32Array.of(lr), []),
        step: tensor(Float32Array.of(step), []),
        loss: tensor(loss, []),
        ...scaleFeed(lossScale),
      });
      const skipped = !(Number.isFinite(loss[0]) && Number.isFinite(Number(norms["grad_norm"]!.data[0])));
      const metrics = {
        ...losses,
        // The loss of all micro-batches may overflow where none of theirs does.
        ...(Number.isFinite(loss[0]) ? {} : { total: loss[0] }),
        lr,
        ...readScalars(norms, ["grad_norm", "grad_norm_vlm", "grad_norm_expert", "param_norm"]),
        ...(lossScale ? { loss_scale: lossScale.scale } : {}),
      } as StepMetrics;
      if (lossScale) lossScale = nextLossScale(lossScale, skipped);
      return skipped ? { ...metrics, skipped: 1 } : metrics;
    },
    async evaluate(batch, draws, weights = "raw") {
      checkLossRows(artifact, batch);
      const session = evaluation.get(weights) ?? (await open("eval_model", weights));
      evaluation.set(weights, session);
      return run({ batch, draws }, async (part) => ({ session, batch: part }));
    },
    params: (weights = "raw") => lentParams(tensors, weights),
    gradients: () => ({ byName: tensors.grads.byName }),
    state: async () => ({ step, ...(await tensors.read()), ...(lossScale ? { lossScale } : {}) }),
    async restore(saved) {
      await tensors.write(saved);
      step = saved.step;
      if (lossScale) lossScale = saved.lossScale ?? INITIAL_LOSS_SCALE;
    },
    memory() {
      const opened = [...training.opened(), ...evaluation.values(), ...(reset ? [reset] : [])];
      const sessions = [optimizer, ...opened.map((open) => open.session)];
      const all = sessions.flatMap((session) => session.memory() ?? []);
      const [arena] = cuda ? [totalMemory(all)] : all;
      return { tensors: tensors.bytes, ...(arena ? { arena } : {}) };
    },
    release: () => releaseAll([training, optimizer, ...evaluation.values(), reset, tensors]),
  };
}

/** The session for a micro-batch, and the batch as that session takes it. */
type PickSession = (batch: TrainBatch) => Promise<{ session: BoundSession; batch: TrainBatch }>;

/** A batch in one piece. */
const WHOLE = { shares: { action_loss: 1, fast_loss: 1 }, targets: 0 };

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

/** The parameters or their average; what is not trained has no average of its own. */
function lentParams({ weights, ema }: StateTensors, which: Weights): DeviceParams {
  if (which === "raw") return { byName: weights.byName };
  if (ema) return { byName: new Map([...weights.byName, ...ema.byName]) };
  throw new InsulaError(
    "session/no-ema",
    "training: the artifact has no average of the parameters (emaDecay)",
  );
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
  if (!tokenLossMask || rows === undefined || options.only === "action") return;
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
