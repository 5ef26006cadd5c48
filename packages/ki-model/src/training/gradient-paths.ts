/**
 * @file Which loss trains which parameters, read off the graph itself: for every gradient, the batch inputs that
 * it is computed from.
 */
import { ancestors } from "@insula/onnx-grad";
import type { ParamGroup } from "../params/spec.js";
import type { TrainingModel } from "./training-model.js";

/** Inputs that only one of the losses reads. */
const READ_BY = {
  action_loss: ["actions", "noise", "time", "action_mask"],
  fast_loss: ["token_loss_mask"],
} as const;

/** Per group: its parameters, how many are trained, and how many gradients depend on each loss. */
export type GradientPaths = Record<
  ParamGroup,
  { parameters: number; trained: number; action_loss: number; fast_loss: number }
>;

/** Walk from every gradient to the inputs. Under insulation `vlm.action_loss` and `expert.fast_loss` are 0. */
export function gradientPaths({ context, outputs }: TrainingModel): GradientPaths {
  const group = () => ({ parameters: 0, trained: 0, action_loss: 0, fast_loss: 0 });
  const paths: GradientPaths = { vlm: group(), expert: group() };
  for (const spec of context.specs) {
    const counts = paths[spec.group];
    counts.parameters++;
    const gradient = outputs.get(`grad/${spec.name}`);
    if (!gradient) continue;
    counts.trained++;
    const inputs = new Set([...ancestors([gradient])].filter((v) => !v.producer).map((v) => v.name));
    for (const loss of ["action_loss", "fast_loss"] as const) {
      if (READ_BY[loss].some((name) => inputs.has(name))) counts[loss]++;
    }
  }
  return paths;
}
