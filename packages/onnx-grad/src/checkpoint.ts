/**
 * @file Rematerialisation (gradient checkpointing, arXiv:1604.06174): the inner values of a block are not kept
 * for the backward pass but computed again from the block's inputs when it is reached.
 *
 * A runtime sees only data dependences. It would merge the second computation with the first, or run it as soon as
 * its inputs are there, which is in the forward pass. So the second one is made to depend on the gradient.
 */
import {
  addNode,
  type Block,
  constant,
  type Graph,
  isFloat,
  type Node,
  scalar,
  size,
  type Value,
  withScope,
} from "./graph.js";
import { mul, where } from "./ops/elementwise.js";
import { gather } from "./ops/gather.js";
import { reduceMax } from "./ops/reduce.js";
import { concat, reshape } from "./ops/shape.js";
import { cast } from "./ops/unary.js";

/** Run `body`; the nodes that it adds form one rematerialised block. Blocks inside blocks belong to the outer one. */
export function checkpoint<T>(graph: Graph, name: string, body: () => T): T {
  return block(graph, name, true, body);
}

/**
 * Run `body`; the backward pass of the nodes that it adds begins when all gradients of parameters that only later
 * nodes read are there. Left to itself a runtime may follow the chain of activations to its end first, and keep what
 * every one of those gradients is computed from.
 */
export function segment<T>(graph: Graph, name: string, body: () => T): T {
  return block(graph, name, false, body);
}

function block<T>(graph: Graph, name: string, again: boolean, body: () => T): T {
  if (graph.block) return body();
  graph.block = { name, recompute: again, nodes: [] };
  try {
    return body();
  } finally {
    graph.block = undefined;
  }
}

/**
 * Add the block's nodes a second time: original value → recomputed value. The second computation starts from
 * a copy of each block input that carries a gradient, made only when `after` is there;
 * a node that depends on none of these is not added, its first result serves. Nodes that nothing reads are dropped
 * on serialisation.
 * @param after values of the backward pass that the block's own backward pass waits for
 * @param carriesGradient whether a value is differentiated through
 */
export function recompute(
  block: Block,
  after: readonly Value[],
  carriesGradient: (x: Value) => boolean,
): Map<Value, Value> {
  const again = new Map<Value, Value>();
  const first = block.nodes[0];
  if (!first) return again;
  const graph = first.outputs[0]!.graph;
  withScope(graph, `recompute/${block.name}`, () => {
    const one = oneAfter(after);
    for (const x of entries(block, carriesGradient)) again.set(x, mul(x, cast(one, x.dtype)));
    for (const node of block.nodes) {
      if (!node.inputs.some((x) => again.has(x))) continue;
      const outputs = addNode(
        node.rule,
        node.inputs.map((x) => again.get(x) ?? x),
        node.outputs,
        node.attributes,
      );
      node.outputs.forEach((y, i) => {
        again.set(y, outputs[i]!);
      });
    }
  });
  return again;
}

/** `values`, usable only when `after` is there: the same numbers. */
export function afterAll(
  values: readonly (Value | undefined)[],
  after: readonly Value[],
): readonly (Value | undefined)[] {
  if (after.length === 0) return values;
  const one = oneAfter(after);
  return values.map((v) => v && mul(v, cast(one, v.dtype)));
}

/**
 * The number 1, computed from one element of each of `after`. x·1 is x to the last bit, and as a runtime cannot know
 * that the number is 1 it neither leaves the product out nor runs it early, nor takes what follows for the first
 * computation. The element's value does not matter, not even when it is not a number.
 */
function oneAfter(after: readonly Value[]): Value {
  const [{ graph }] = after as [Value];
  const elements = after.map((v) =>
    cast(gather(reshape(v, [size(v.shape)]), constant(graph, [0], [1], "int64")), "bool"),
  );
  const one = scalar(graph, 1);
  return reduceMax(where(concat(elements, 0), one, one), [0]);
}

/**
 * Where the block begins: values from outside that carry a gradient and are computed; for a block at the very
 * beginning the inputs that are not differentiated, such as a batch, or else all of them.
 */
function entries({ nodes }: Block, carriesGradient: (x: Value) => boolean): Value[] {
  const inner = new Set(nodes.flatMap((n) => n.outputs));
  const outer = new Set(nodes.flatMap((n) => n.inputs));
  const floats = [...outer].filter((x) => !inner.has(x) && !x.constant && isFloat(x.dtype));
  const choices = [
    floats.filter((x) => x.producer && carriesGradient(x)),
    floats.filter((x) => !x.producer && !carriesGradient(x)),
  ];
  const begin = choices.find((xs) => xs.length > 0) ?? floats;
  return [...new Set([...begin, ...castInputs(nodes)])];
}

/**
 * Inputs of the graph that the block casts, weights in another type than it computes in: without a beginning here the
 * cast copies would be kept, for all blocks together as much as the weights themselves.
 */
function castInputs(nodes: readonly Node[]): Value[] {
  return nodes.flatMap(({ rule, inputs: [x] }) =>
    rule.type === "Cast" && !x!.producer && !x!.constant && isFloat(x!.dtype) ? [x!] : [],
  );
}
