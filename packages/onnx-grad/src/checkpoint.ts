/**
 * @file Rematerialisation (gradient checkpointing, arXiv:1604.06174): the inner values of a block are not kept
 * for the backward pass but computed again from the block's inputs when it is reached.
 *
 * ONNX Runtime must not merge the second computation with the first: sessions of such graphs disable its
 * CommonSubexpressionElimination.
 */
import { addNode, type Block, type Graph, type Value, withScope } from "./graph.js";

/** Run `body`; the nodes that it adds form one rematerialised block. Blocks inside blocks belong to the outer one. */
export function checkpoint<T>(graph: Graph, name: string, body: () => T): T {
  if (graph.block) return body();
  graph.block = { name, nodes: [] };
  try {
    return body();
  } finally {
    graph.block = undefined;
  }
}

/** Add the block's nodes a second time: original value → recomputed value. Nodes that nothing reads are dropped on serialisation. */
export function recompute(block: Block): Map<Value, Value> {
  const again = new Map<Value, Value>();
  const first = block.nodes[0];
  if (!first) return again;
  const graph = first.outputs[0]!.graph;
  withScope(graph, `recompute/${block.name}`, () => {
    for (const node of block.nodes) {
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
