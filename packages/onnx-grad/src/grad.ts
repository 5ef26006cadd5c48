/**
 * @file Reverse-mode differentiation. The gradient is more graph: `grad` walks the nodes from the loss back to
 * the parameters, and each operator's rule adds the nodes of its vector-Jacobian product.
 *
 * A gradient that does not exist is *absent*: where no differentiable path leads from the loss to a parameter
 * nothing is added to the graph, and the result says so with `undefined` instead of zeros.
 */

import { afterAll, recompute } from "./checkpoint.js";
import { GraphError } from "./error.js";
import {
  type Block,
  type Graph,
  isFloat,
  type Node,
  sameShape,
  scalar,
  show,
  type Value,
  withScope,
} from "./graph.js";
import { add } from "./ops/elementwise.js";
import { inputReach } from "./reach.js";

/** What {@link grad} may be told. */
export interface GradOptions {
  /**
   * What becomes of the complete gradient with respect to `of`, for example its sum with an earlier one: a value of
   * the same shape and type. It is added where the gradient is complete and waited for as the gradient would be, so
   * that no gradient has to be kept to the end for it.
   */
  finish?: (gradient: Value, of: Value) => Value;
}

/**
 * Gradients of the scalar `loss` with respect to each of `wrt`, in order; undefined where none flows.
 * @throws GraphError `grad/loss` when `loss` is not a float scalar, `graph/foreign` when one of `wrt` is of
 *   another graph, `grad/rule` when an operator's rule returns a gradient that does not fit its input.
 */
export function grad(
  loss: Value,
  wrt: readonly Value[],
  { finish = (gradient) => gradient }: GradOptions = {},
): (Value | undefined)[] {
  if (loss.shape.length !== 0 || !isFloat(loss.dtype)) {
    throw new GraphError(
      "grad/loss",
      `grad: the loss must be a float scalar, '${loss.name}' is ${loss.dtype}${show(loss.shape)}`,
    );
  }
  const { graph } = loss;
  for (const p of wrt) {
    if (p.graph !== graph)
      throw new GraphError("graph/foreign", `grad: '${p.name}' belongs to another graph than the loss`);
  }
  const active = dependents(graph.nodes, wrt);
  const gradients = new Map<Value, Value>([[loss, scalar(graph, 1, loss.dtype)]]);
  const recomputed = new Map<Block, Map<Value, Value>>();
  const results = new Map<Value, Value>();
  /** The complete gradient with respect to `of`, and what it becomes. */
  const complete = (of: Value) => {
    const gradient = gradients.get(of);
    if (!gradient) return undefined;
    const result = results.get(of) ?? finish(gradient, of);
    results.set(of, result);
    return { gradient, result };
  };
  const finished = finishedGradients(graph, wrt, complete);
  withScope(graph, "grad", () => {
    const nodes = graph.nodes.slice();
    for (let at = nodes.length - 1; at >= 0; at--) {
      const node = nodes[at]!;
      let grads: readonly (Value | undefined)[] = node.outputs.map((y) => gradients.get(y));
      if (!node.rule.vjp || !node.outputs.some((y, i) => grads[i] && active.has(y))) continue;
      let { inputs, outputs } = node;
      if (node.block) {
        let again = recomputed.get(node.block);
        if (!again) {
          const incoming = grads.filter((g) => g !== undefined);
          const after = finished(at, incoming);
          if (node.block.recompute) {
            again = recompute(node.block, [...incoming, ...after], (x) => active.has(x));
          } else {
            grads = afterAll(grads, after);
            again = new Map();
          }
          recomputed.set(node.block, again);
        }
        inputs = inputs.map((x) => again.get(x) ?? x);
        outputs = outputs.map((y) => again.get(y) ?? y);
      }
      const parts = node.rule.vjp({ inputs, outputs, grads, attributes: node.attributes });
      node.inputs.forEach((x, i) => {
        const g = parts[i];
        if (!g || !active.has(x)) return;
        if (g.dtype !== x.dtype || !sameShape(g.shape, x.shape)) {
          throw new GraphError(
            "grad/rule",
            `${node.rule.type}: gradient of '${x.name}' is ${g.dtype}${show(g.shape)}, expected ${x.dtype}${show(x.shape)}`,
          );
        }
        const known = gradients.get(x);
        gradients.set(x, known ? add(known, g) : g);
      });
    }
    for (const p of wrt) complete(p);
  });
  return wrt.map((p) => results.get(p));
}

/** Everything that a float path leads to from `sources`, themselves included. */
function dependents(nodes: readonly Node[], sources: readonly Value[]): Set<Value> {
  const set = new Set(sources);
  for (const node of nodes) {
    if (!node.rule.vjp || !node.inputs.some((x) => set.has(x))) continue;
    for (const y of node.outputs) if (isFloat(y.dtype)) set.add(y);
  }
  return set;
}

/**
 * The gradients that are complete when the backward pass has come down to a node: those of parameters that only later
 * nodes read, each once. A block waits for them, or a runtime might leave them to the end and keep what they are
 * computed from. It does not wait for what has nothing to do with its own gradients `incoming`, computed from inputs
 * that these are not: what one loss alone leads to stays a graph of its own.
 */
function finishedGradients(
  graph: Graph,
  wrt: readonly Value[],
  complete: (of: Value) => { gradient: Value; result: Value } | undefined,
): (at: number, incoming: readonly Value[]) => Value[] {
  const { nodes } = graph;
  const reach = inputReach(graph);
  const firstRead = new Map(wrt.map((p) => [p, -1]));
  nodes.forEach((node, i) => {
    for (const x of node.inputs) if (firstRead.get(x) === -1) firstRead.set(x, i);
  });
  const waiting = [...firstRead].sort((a, b) => a[1] - b[1]);
  let done: { gradient: Value; result: Value }[] = [];
  return (at, incoming) => {
    while (waiting.length > 0 && waiting.at(-1)![1] > at) {
      const found = complete(waiting.pop()![0]);
      if (found) done.push(found);
    }
    const known = incoming.reduce((all, g) => all | reach(g), 0n);
    const related = done.filter(({ gradient }) => (reach(gradient) & ~known) === 0n);
    done = done.filter((g) => !related.includes(g));
    return related.map(({ result }) => result);
  };
}
