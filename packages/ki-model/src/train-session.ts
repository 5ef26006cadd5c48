/**
 * @file What a training loop needs of the model: one object that owns parameters, moments and sessions.
 * The loop feeds batches and random draws and gets losses and norms; it never sees a graph.
 */
import type { Actions, NdArray, Observation } from "@insula/model-types";
import type { DeviceTensor, SessionMemory } from "@insula/ort-session";
import type { LossScale } from "./training/loss-scale.js";

/** One batch as the training model takes it. Shapes: b = batch, h = actionHorizon, d = actionDim. */
export interface TrainBatch {
  observation: Observation;
  /** `[b, h, d]`, normalised and zero-padded to actionDim. */
  actions: Actions;
  /** `[b, h, d]`, 1 where action and step are real; used when `maskPadded`. */
  actionMask?: NdArray<Float32Array>;
}

/**
 * The random draws of one step, made by the caller's seeded generator: k per sample (`flowDraws`), those of one sample
 * one behind the other.
 */
export interface FlowDraws {
  /** `[b·k, h, d]`, N(0, 1). */
  noise: NdArray<Float32Array>;
  /** `[b·k]`, flow time in (0.001, 1): Beta(1.5, 1) · 0.999 + 0.001. */
  time: NdArray<Float32Array>;
}

/** Scalars of one batch. Losses that the model type does not have are absent. */
export interface LossMetrics {
  total: number;
  action_loss?: number;
  fast_loss?: number;
  /** Share of FAST targets whose argmax prediction is right. */
  fast_accuracy?: number;
}

/** Scalars of one training step. */
export interface StepMetrics extends LossMetrics {
  lr: number;
  /** Norm of all gradients before clipping. */
  grad_norm: number;
  /** Norms per parameter group, before clipping. */
  grad_norm_vlm?: number;
  grad_norm_expert?: number;
  param_norm: number;
  /** What the loss was multiplied by; float16 compute only. */
  loss_scale?: number;
  /** 1 when the loss or a gradient was not finite: the step changed nothing. Absent otherwise. */
  skipped?: 1;
}

/** A named set of float32 tensors under openpi's file names (layers stacked on axis 0). */
export type ParamTree = Map<string, NdArray<Float32Array>>;

/** Which parameters: as they are trained, or their exponential moving average. */
export type Weights = "raw" | "ema";

/** Tensors of a training session, on its device, under the graphs' names: lent, not copied. */
export interface DeviceParams {
  readonly byName: ReadonlyMap<string, DeviceTensor>;
}

/** Everything that a resumed run needs besides generator and loader state. */
export interface TrainState {
  /** Steps taken, those that changed nothing included. */
  step: number;
  params: ParamTree;
  /** First and second moments. */
  mu: ParamTree;
  nu: ParamTree;
  /** Present when EMA is on. */
  ema?: ParamTree;
  /** Present when gradients are scaled. */
  lossScale?: LossScale;
}

/** What training holds on its device, in bytes. */
export interface TrainMemory {
  /** Parameters, gradients, moments and average. */
  tensors: number;
  /**
   * What the graphs take besides, all of them together: on the CPU the arena that the process's training sessions
   * share. Absent on the node runtime, which does not say.
   */
  arena?: SessionMemory;
}

/** Training as the loop sees it. Parameters and moments are updated in place: one call at a time. */
export interface TrainSession {
  /**
   * Forward, backward and update. `lr` is the learning rate of this update. With gradient accumulation the batch is
   * computed in micro-batches, one after the other; losses, gradients and the update are those of the whole batch.
   */
  step(batch: TrainBatch, draws: FlowDraws, lr: number): Promise<StepMetrics>;
  /** Losses only, of the parameters or their average. @throws InsulaError `session/no-ema` where there is none. */
  evaluate(batch: TrainBatch, draws: FlowDraws, weights?: Weights): Promise<LossMetrics>;
  /**
   * The parameters themselves, for a sampler beside the training: no second copy. They change with every step and
   * end with the session. Frozen ones stand under both names. @throws InsulaError `session/no-ema`.
   */
  params(weights?: Weights): DeviceParams;
  /** The last step's gradients, before clipping and times its loss scale; lent as {@link params}. */
  gradients(): DeviceParams;
  /** A copy of the state, for a checkpoint. */
  state(): Promise<TrainState>;
  /** Continue from a state. */
  restore(state: TrainState): Promise<void>;
  /** What is held now, and what each session took at most. */
  memory(): TrainMemory;
  /** Close the sessions that were opened and free all tensors; no step can follow. */
  release(): Promise<void>;
}
