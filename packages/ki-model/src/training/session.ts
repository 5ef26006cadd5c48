/**
 * @file A training session over an artifact: parameters, moments and average in host memory, updated in place
 * by the optimizer model.
 */
import { InsulaError } from "@insula/model-types";
import {
  createSession,
  type Device,
  type Session,
  type Tensor,
  tensor,
  zerosTensor,
} from "@insula/ort-session";
import type { Artifact } from "../artifact.js";
import { pickFeeds, trainFeeds } from "../feeds.js";
import { toFileParams, toGraphParams } from "../params/layout.js";
import { type ParamSpec, paramSpecs } from "../params/spec.js";
import type {
  FlowDraws,
  LossMetrics,
  ParamTree,
  StepMetrics,
  TrainBatch,
  TrainSession,
  TrainState,
} from "../train-session.js";
import { createBuckets } from "./buckets.js";

/** What to train: an artifact, and the parameters to start from, all of the model's under openpi's names. */
export interface TrainSessionOptions {
  artifact: Artifact;
  params: ParamTree;
  device?: Device;
  /** Threads within an operator; default one per core. */
  threads?: number;
}

/** ONNX Runtime must not undo rematerialisation by merging the recomputed nodes with the first ones. */
const KEEP_RECOMPUTATION = ["CommonSubexpressionElimination"];

type Tensors = Map<string, Tensor>;

/**
 * Start training from `params` with zero moments.
 * @throws InsulaError when `params` are not the model's; no session is left open then.
 */
export async function createTrainSession({
  artifact,
  params,
  device = "cpu",
  threads,
}: TrainSessionOptions): Promise<TrainSession> {
  const { manifest, models } = artifact;
  const { config, options } = manifest;
  const specs = paramSpecs(config);
  const trainable = specs.filter((_, i) => manifest.params[i]!.trainable);
  const sessionOptions = {
    device,
    ...(threads ? { threads } : {}),
    ...(options.rematerialize ? { disabledOptimizers: KEEP_RECOMPUTATION } : {}),
  };
  const training = createBuckets(artifact, (name) => createSession(models[name]!, sessionOptions));
  let evaluation: Session | undefined;

  const paramNames = new Set(specs.map((s) => s.name));
  const isParam = (name: string) => paramNames.has(name);
  const weights = graphTensors(specs, params);
  const zeros = (): Tensors => new Map(trainable.map((s) => [s.name, zerosTensor("float32", s.shape)]));
  const copy = (from: Tensors): Tensors => new Map(trainable.map((s) => [s.name, clone(from.get(s.name)!)]));
  const mu = zeros();
  const nu = zeros();
  const grads = zeros();
  const ema = options.optimizer.emaDecay === null ? undefined : copy(weights);
  let step = 0;

  const feed = (session: Session, batch: TrainBatch, draws: FlowDraws) => {
    const feeds = pickFeeds(session.inputs, trainFeeds(batch, draws), isParam);
    for (const { name } of session.inputs) if (isParam(name)) feeds[name] = weights.get(name)!;
    return feeds;
  };

  /** The optimizer's feeds, and the same tensors as the places of its results: an update in place. */
  const state: Record<string, Tensor> = {};
  for (const { name } of trainable) {
    state[name] = weights.get(name)!;
    state[`mu/${name}`] = mu.get(name)!;
    state[`nu/${name}`] = nu.get(name)!;
    if (ema) state[`ema/${name}`] = ema.get(name)!;
  }
  const places = Object.fromEntries(Object.entries(state).map(([name, t]) => [`new/${name}`, t]));
  const gradPlaces = Object.fromEntries([...grads].map(([name, t]) => [`grad/${name}`, t]));

  // The first session to open, after all that can fail: nobody could release it.
  const optimizer = await createSession(models["optimizer_model"]!, sessionOptions);

  return {
    async step(batch, draws, lr) {
      checkLossRows(artifact, batch);
      const { session, batch: fitted } = await training.pick(batch);
      const out = await session.run(feed(session, fitted, draws), { into: gradPlaces });
      step++;
      const scalars = { lr: tensor(Float32Array.of(lr), []), step: tensor(Float32Array.of(step), []) };
      const norms = await optimizer.run({ ...state, ...gradPlaces, ...scalars }, { into: places });
      return {
        ...readLosses(out),
        lr,
        ...readScalars(norms, ["grad_norm", "grad_norm_vlm", "grad_norm_expert", "param_norm"]),
      } as StepMetrics;
    },
    async evaluate(batch, draws) {
      checkLossRows(artifact, batch);
      evaluation ??= await createSession(models["eval_model"]!, sessionOptions);
      return readLosses(await evaluation.run(feed(evaluation, batch, draws)));
    },
    async state() {
      const tree = (tensors: Tensors) => toFileParams(specs, tensors);
      return {
        step,
        params: tree(weights),
        mu: tree(mu),
        nu: tree(nu),
        ...(ema ? { ema: tree(new Map([...weights, ...ema])) } : {}),
      };
    },
    async restore(saved: TrainState) {
      const load = (into: Tensors, tree: ParamTree, which: readonly ParamSpec[]) => {
        for (const [name, { data }] of toGraphParams(which, tree))
          (into.get(name)!.data as Float32Array).set(data);
      };
      load(weights, saved.params, specs);
      load(mu, saved.mu, trainable);
      load(nu, saved.nu, trainable);
      if (ema) {
        const average = saved.ema ?? saved.params;
        for (const [name, { data }] of toGraphParams(specs, average))
          (ema.get(name)?.data as Float32Array | undefined)?.set(data);
      }
      step = saved.step;
    },
    async release() {
      await training.release();
      await optimizer.release();
      await evaluation?.release();
    },
  };
}

function graphTensors(specs: readonly ParamSpec[], params: ParamTree): Tensors {
  return new Map(
    [...toGraphParams(specs, params)].map(([name, { data, shape }]) => [name, tensor(data, shape)]),
  );
}

function clone({ data, shape, type }: Tensor): Tensor {
  return { data: data.slice(), shape, type };
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
