/**
 * @file Which layers are computed again in the backward pass instead of kept (arXiv:1604.06174): memory for a second
 * forward pass of those layers. Losses and gradients are the same to the bit.
 */
import { checkpoint, type Graph, segment } from "@insula/onnx-grad";

/** All layers, none, or the first so many of each stack. */
export type Rematerialize = boolean | Readonly<Partial<Record<LayerStack, number>>>;

/** The stacks of layers. */
export type LayerStack = "siglip" | "vlm" | "expert";

/**
 * Build layer number `layer` of a stack with `body`: a block that is computed again where `which` says so, and in any
 * case one whose backward pass begins when the layers behind it are done, gradients of their weights included.
 */
export function buildLayer<T>(
  graph: Graph,
  which: Rematerialize,
  stack: LayerStack,
  layer: number,
  body: () => T,
): T {
  const again = typeof which === "boolean" ? which : layer < (which[stack] ?? 0);
  return (again ? checkpoint : segment)(graph, `${stack}/layer${layer}`, body);
}
