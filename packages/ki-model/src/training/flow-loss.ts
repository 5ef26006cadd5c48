/**
 * @file Flow matching (arXiv:2210.02747; openpi `models/pi0.py` `compute_loss`): t = 1 is noise, t = 0 data,
 * x_t = t·noise + (1 − t)·actions, target velocity u_t = noise − actions.
 */
import {
  add,
  div,
  expand,
  input,
  maximum,
  meanAll,
  mul,
  reduceMean,
  reshape,
  sub,
  sumAll,
  type Value,
  withScope,
} from "@insula/onnx-grad";
import type { ModelContext } from "../model/context.js";

/** k: noise draws per sample, those of one sample one behind the other. */
export interface FlowInputs {
  /** `[b·k, h, d]` */
  xT: Value;
  /** `[b·k, h, d]` */
  uT: Value;
  /** `[b·k]` */
  time: Value;
  /** `[b, h, d]`, 1 where action and step are real. */
  actionMask: Value | undefined;
}

/** Declare actions, noise and time, and mix them, `draws` times per sample. */
export function flowInputs({ graph, batchSize: b, config, tap }: ModelContext, draws = 1): FlowInputs {
  const [h, d] = [config.actionHorizon, config.actionDim];
  const rows = b * draws;
  const once = input(graph, "actions", "float32", [b, h, d]);
  const noise = input(graph, "noise", "float32", [rows, h, d]);
  const time = input(graph, "time", "float32", [rows]);
  const actionMask = config.maskPadded ? input(graph, "action_mask", "float32", [b, h, d]) : undefined;
  return withScope(graph, "flow", () => {
    const actions =
      draws === 1 ? once : reshape(expand(reshape(once, [b, 1, h, d]), [b, draws, h, d]), [rows, h, d]);
    const t = reshape(time, [rows, 1, 1]);
    const xT = tap("x_t", add(mul(t, noise), mul(sub(1, t), actions)));
    return { xT, uT: tap("u_t", sub(noise, actions)), time, actionMask };
  });
}

/** Mean squared error of the velocity: over everything, or over the real entries of all draws when there is a mask. */
export function flowLoss({ graph, tap }: ModelContext, vT: Value, { uT, actionMask }: FlowInputs): Value {
  return withScope(graph, "flow_loss", () => {
    const difference = sub(tap("v_t", vT), uT);
    const squared = mul(difference, difference);
    tap("action_loss_per_step", reduceMean(squared, [2]));
    if (!actionMask) return meanAll(squared);
    const [b, h, d] = actionMask.shape as [number, number, number];
    const draws = squared.shape[0]! / b;
    const perSample = draws === 1 ? squared : reduceMean(reshape(squared, [b, draws, h, d]), [1]);
    return div(sumAll(mul(perSample, actionMask)), maximum(sumAll(actionMask), 1));
  });
}
