/**
 * @file In-place updates: which outputs may be written over an input while the graph runs, as an optimizer does
 * with its parameters. Execution order is only fixed between a node and what it is computed from.
 */
import { GraphError } from "./error.js";
import { type Graph, type Node, sameShape, show, size, type Value } from "./graph.js";
import { ancestors, resolveAlias } from "./live.js";

/** Operators that write element i after they have read element i and nothing before it. */
const ELEMENTWISE: ReadonlySet<string> = new Set(
  "Add Sub Mul Div Neg Reciprocal Exp Log Sqrt Sin Cos Tanh Sigmoid".split(" "),
);

/** Operators that a runtime may turn into a view of their first input when they keep every element. */
const MOVES: ReadonlySet<string> = new Set(
  "Identity Reshape Transpose Expand Cast Slice Split Concat".split(" "),
);

/**
 * Assert that each output named in `pairs` may be written over the graph input that it is paired with, in one run.
 *
 * That is so when every other node that reads the input, or a view of it, is an ancestor of the output: then it has
 * run before the output is made. The node that makes the output may read the input itself when it is elementwise.
 * Nodes are taken to run one at a time, as the graph has them: a fused kernel is the runtime's to answer for.
 * Takes time linear in the graph, plus per pair the nodes between the input's first reader and the output.
 *
 * @param outputs the model's outputs, name → value: all of them, as they decide what is executed
 * @param pairs name of the output → the graph input whose memory it is written to
 * @throws GraphError `graph/in-place`, naming the output, the input and the offending reader; also for an unknown
 *   output, for what is not an input of `graph`, for a shape or type that differs and for an input with two outputs.
 */
export function assertInPlace(
  graph: Graph,
  outputs: ReadonlyMap<string, Value>,
  pairs: ReadonlyMap<string, Value>,
): void {
  const overwritten = checkPairs(graph, outputs, pairs);
  const live = ancestors(outputs.values());
  const order = new Map<Node, number>();
  const readers = new Map<Value, Node[]>();
  const viewed = new Map<Value, Value>();
  const source = (value: Value): Value => {
    const x = resolveAlias(value);
    return viewed.get(x) ?? x;
  };
  for (const node of graph.nodes) {
    if (node.rule.type === "Alias" || !node.outputs.some((y) => live.has(y))) continue;
    order.set(node, order.size);
    for (const x of new Set(node.inputs.map(source))) {
      if (!overwritten.has(x)) continue;
      const known = readers.get(x);
      if (known) known.push(node);
      else readers.set(x, [node]);
      if (MOVES.has(node.rule.type))
        for (const y of node.outputs) if (size(y.shape) === size(x.shape)) viewed.set(y, x);
    }
  }

  for (const [name, value] of outputs) {
    const owner = overwritten.get(source(value));
    // An input that is its own output keeps its value.
    if (owner === undefined || owner === name || resolveAlias(outputs.get(owner)!) === source(value))
      continue;
    throw refused(owner, pairs.get(owner)!, `output '${name}' is that input`);
  }
  for (const [name, x] of pairs) {
    const y = resolveAlias(outputs.get(name)!);
    if (y === x) continue;
    const missing = new Set(readers.get(x));
    if (missing.delete(y.producer!) && !ELEMENTWISE.has(y.producer!.rule.type)) {
      throw refused(
        name,
        x,
        `'${y.name}' reads it while it writes, and ${y.producer!.rule.type} is not elementwise`,
      );
    }
    dropAncestors(missing, y, order);
    const [reader] = missing;
    if (reader)
      throw refused(name, x, `'${reader.outputs[0]!.name}' reads that input and need not have run by then`);
  }
}

/** The paired inputs, each with its output's name. */
function checkPairs(
  graph: Graph,
  outputs: ReadonlyMap<string, Value>,
  pairs: ReadonlyMap<string, Value>,
): Map<Value, string> {
  const inputs = new Set(graph.inputs);
  const overwritten = new Map<Value, string>();
  for (const [name, x] of pairs) {
    const y = outputs.get(name);
    if (!y) throw refused(name, x, "there is no such output");
    if (!inputs.has(x)) throw refused(name, x, "it is not an input of the graph");
    if (y.dtype !== x.dtype || !sameShape(y.shape, x.shape)) {
      throw refused(name, x, `expected ${x.dtype}${show(x.shape)}, found ${y.dtype}${show(y.shape)}`);
    }
    const other = overwritten.get(x);
    if (other !== undefined) throw refused(name, x, `output '${other}' is written there as well`);
    overwritten.set(x, name);
  }
  return overwritten;
}

/** Take the ancestors of `value` out of `nodes`; nodes that stand before all of them are not walked. */
function dropAncestors(nodes: Set<Node>, value: Value, order: ReadonlyMap<Node, number>): void {
  const first = Math.min(...[...nodes].map((node) => order.get(node)!));
  const seen = new Set<Node>();
  const stack = [value];
  while (nodes.size > 0) {
    const reached = stack.pop();
    if (!reached) return;
    for (const x of reached.producer?.inputs ?? []) {
      const made = resolveAlias(x);
      const { producer } = made;
      if (!producer || seen.has(producer) || order.get(producer)! < first) continue;
      seen.add(producer);
      nodes.delete(producer);
      stack.push(made);
    }
  }
}

function refused(output: string, input: Value, why: string): GraphError {
  return new GraphError(
    "graph/in-place",
    `assertInPlace: output '${output}' cannot be written over input '${input.name}': ${why}`,
  );
}
