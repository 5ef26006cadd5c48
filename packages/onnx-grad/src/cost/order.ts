/**
 * @file The order in which ONNX Runtime executes a graph on one stream: a depth-first walk from the results back
 * (`GraphViewer`, `Graph::ReverseDFSFrom`). The last result comes first, and of a step's inputs the one made by the
 * step with the largest index. Fused steps get new indices behind all others, in the order before the fusion.
 */
import type { Value } from "../graph.js";
import type { Executed, Step } from "./executed.js";

/** The steps in order of execution. */
export function executionOrder({ steps }: Executed): Step[] {
  const index = new Map(steps.map((step, i) => [step, i]));
  if (!steps.some((s) => s.fused)) return walk(steps, index);
  let next = steps.length;
  for (const step of walk(steps, index)) if (step.fused) index.set(step, next++);
  return walk(steps, index);
}

/** Post-order over everything that the leaves need. */
function walk(steps: readonly Step[], index: ReadonlyMap<Step, number>): Step[] {
  const producer = new Map<Value, Step>();
  for (const step of steps) for (const y of step.outputs) producer.set(y, step);
  const read = new Set<Step>();
  const before = new Map<Step, Step[]>();
  for (const step of steps) {
    const made = new Set(step.inputs.flatMap((x) => producer.get(x) ?? []));
    for (const s of made) read.add(s);
    before.set(
      step,
      [...made].sort((a, b) => index.get(a)! - index.get(b)!),
    );
  }
  const stack: { step: Step; leave: boolean }[] = steps
    .filter((s) => !read.has(s))
    .sort((a, b) => index.get(a)! - index.get(b)!)
    .map((step) => ({ step, leave: false }));
  const seen = new Set<Step>();
  const order: Step[] = [];
  for (let top = stack.pop(); top; top = stack.pop()) {
    if (top.leave) {
      order.push(top.step);
      continue;
    }
    if (seen.has(top.step)) continue;
    seen.add(top.step);
    stack.push({ step: top.step, leave: true });
    for (const step of before.get(top.step)!) if (!seen.has(step)) stack.push({ step, leave: false });
  }
  return order;
}
