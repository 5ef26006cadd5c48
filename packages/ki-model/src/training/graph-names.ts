/** @file Finding one's way in a training graph: in which order values are made, and what they belong to. */
import { ancestors, type Value } from "@insula/onnx-grad";
import type { TrainingModel } from "./training-model.js";

/** The values that losses and gradients are computed from, inputs and constants aside, as they are made. */
export function executionOrder({ context, outputs }: TrainingModel): Value[] {
  const live = ancestors(outputs.values());
  return context.graph.nodes
    .filter(({ rule }) => rule.type !== "Alias")
    .flatMap((node) => node.outputs.filter((value) => live.has(value)));
}

/** Operators that only bring a parameter into shape. */
const SHAPING = new Set(["Alias", "Cast", "Gather", "Reshape", "Slice", "Split", "Transpose"]);

/** The parameter that a value is computed with, if any. */
export function parameterOf({ producer }: Value, isParam: (name: string) => boolean): string | undefined {
  for (const start of producer?.inputs ?? []) {
    let value: Value | undefined = start;
    while (value?.producer && SHAPING.has(value.producer.rule.type)) value = value.producer.inputs[0];
    if (value && !value.producer && isParam(value.name)) return value.name;
  }
  return undefined;
}

/** The value of the forward pass that a gradient is nearest to, in steps back from it. */
export function nearestForward(gradient: Value): string | undefined {
  let front: readonly Value[] = [gradient];
  const seen = new Set<Value>(front);
  while (front.length > 0) {
    const next: Value[] = [];
    for (const { producer } of front) {
      for (const value of producer?.inputs ?? []) {
        if (!value.name.startsWith("grad/") && value.constant === undefined) return value.name;
        if (!seen.has(value)) next.push(value);
        seen.add(value);
      }
    }
    front = next;
  }
  return undefined;
}
