/**
 * @file Flow matching (arXiv:2210.02747; openpi `models/pi0.py` `compute_loss`): t = 1 is noise, t = 0 data,
 * x_t = t·noise + (1 − t)·actions, target velocity u_t = noise − actions.
 */
import {
  add,
  div,
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

export interface FlowInputs {
  /** `[b, h, d]` */
  xT: Value;
  /** `[b, h, d]` */
  uT: Value;
  /** `[b]` */
  time: Value;
  /** `[b, h, d]`, 1 where action and step are real. */
  actionMask: Value | undefined;
}

/** Declare actions, noise and time, and mix them. */
export function flowInputs({ graph, batchSize: b, config, tap }: ModelContext): FlowInputs {
  const shape = [b, config.actionHorizon, config.actionDim];
  const actions = input(graph, "actions", "float32", shape);
  const noise = input(graph, "noise", "float32", shape);
  const time = input(graph, "time", "float32", [b]);
  const actionMask = config.maskPadded ? input(graph, "action_mask", "float32", shape) : undefined;
  return withScope(graph, "flow", () => {
    const t = reshape(time, [b, 1, 1]);
    const xT = tap("x_t", add(mul(t, noise), mul(sub(1, t), actions)));
    return { xT, uT: tap("u_t", sub(noise, actions)), time, actionMask };
  });
}

/** Mean squared error of the velocity: over everything, or over the real entries when there is a mask. */
export function flowLoss({ graph, tap }: ModelContext, vT: Value, { uT, actionMask }: FlowInputs): Value {
  return withScope(graph, "flow_loss", () => {
    const difference = sub(tap("v_t", vT), uT);
    const squared = mul(difference, difference);
    tap("action_loss_per_step", reduceMean(squared, [2]));
    if (!actionMask) return meanAll(squared);
    return div(sumAll(mul(squared, actionMask)), maximum(sumAll(actionMask), 1));
  });
}
