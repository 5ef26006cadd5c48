/**
 * @file The steps that ONNX Runtime executes for a graph: dead nodes are dropped, aliases followed, what depends on
 * constants alone is folded, and a Transpose of the last two axes that only products read becomes part of them
 * (MatmulTransposeFusion). Fusions that only save a small result are left out.
 */
import type { Graph, Node, Value } from "../graph.js";
import { ancestors, resolveAlias } from "../live.js";

/** One kernel launch. */
export interface Step {
  readonly node: Node;
  /** What it reads, aliases and fused transposes resolved; constants included. */
  readonly inputs: readonly Value[];
  /** What it writes: results that something reads, or that a kernel writes whether or not. */
  readonly outputs: readonly Value[];
  /** Whether the runtime replaced the node by a fused one, which then stands behind all others. */
  readonly fused: boolean;
}

/** A graph as the runtime has it. */
export interface Executed {
  /** In the order of the graph. */
  readonly steps: readonly Step[];
  /** The values behind the outputs, each once. */
  readonly outputs: ReadonlySet<Value>;
  /** The graph's inputs that are read. */
  readonly inputs: readonly Value[];
  /** Constants, and what is computed from constants alone: there as long as the session. */
  readonly constants: readonly Value[];
}

/** Work out the steps for the given outputs. */
export function executed(graph: Graph, outputs: Iterable<Value>): Executed {
  const roots = new Set([...outputs].map(resolveAlias));
  const live = ancestors(roots);
  const nodes = graph.nodes.filter((n) => n.rule.type !== "Alias" && n.outputs.some((y) => live.has(y)));
  const folded = foldedValues(nodes);
  const kept = nodes.filter((n) => !n.outputs.every((y) => folded.has(y)));
  const transposes = fusedTransposes(kept, roots);
  const steps: Step[] = [];
  for (const node of kept) {
    let fused = false;
    const inputs = node.inputs.map((x) => {
      const value = untransposed(x);
      const source = node.rule.type === "MatMul" ? transposes.get(value) : undefined;
      if (source) fused = true;
      return source ?? value;
    });
    const made = node.outputs.filter((y, i) => i === 0 || live.has(y) || node.rule.type === "Split");
    steps.push({ node, inputs, outputs: made, fused });
  }
  const needed = neededSteps(steps, roots);
  const read = new Set([...roots, ...needed.flatMap((s) => s.inputs)]);
  return {
    steps: needed,
    outputs: roots,
    inputs: graph.inputs.filter((x) => read.has(x)),
    constants: [...read].filter((x) => x.constant || folded.has(x)),
  };
}

/** The steps that still are read when others have taken them over. */
function neededSteps(steps: readonly Step[], roots: ReadonlySet<Value>): Step[] {
  const read = new Set(roots);
  return steps
    .toReversed()
    .filter(({ outputs, inputs }) => {
      if (!outputs.some((y) => read.has(y))) return false;
      for (const x of inputs) read.add(x);
      return true;
    })
    .reverse();
}

/** What `value` stands for; a transpose of its own inverse stands for what both began with. */
function untransposed(value: Value): Value {
  const x = resolveAlias(value);
  if (x.producer?.rule.type !== "Transpose") return x;
  const inner = resolveAlias(x.producer.inputs[0]!);
  if (inner.producer?.rule.type !== "Transpose") return x;
  const [outer, first] = [permutation(x.producer), permutation(inner.producer)];
  return outer.every((axis, i) => first[axis] === i) ? untransposed(inner.producer.inputs[0]!) : x;
}

/** Values computed from constants alone. */
function foldedValues(nodes: readonly Node[]): Set<Value> {
  const folded = new Set<Value>();
  const fixed = (x: Value) => x.constant !== undefined || folded.has(x);
  for (const node of nodes)
    if (node.inputs.map(resolveAlias).every(fixed)) for (const y of node.outputs) folded.add(y);
  return folded;
}

/** Results of transposes that products take over → what they transpose. */
function fusedTransposes(nodes: readonly Node[], roots: ReadonlySet<Value>): Map<Value, Value> {
  const candidates = new Map<Value, Value>();
  for (const node of nodes) {
    const y = node.outputs[0]!;
    if (node.rule.type === "Transpose" && swapsLast(node) && !roots.has(y))
      candidates.set(y, untransposed(node.inputs[0]!));
  }
  for (const node of nodes) {
    const [y] = node.outputs as [Value];
    if (node.rule.type === "MatMul" || untransposed(y) !== y) continue;
    for (const x of node.inputs) candidates.delete(untransposed(x));
  }
  return candidates;
}

function swapsLast(node: Node): boolean {
  const perm = permutation(node);
  const n = perm.length;
  return perm.every((axis, i) => axis === (i === n - 1 ? n - 2 : i === n - 2 ? n - 1 : i));
}

function permutation({ attributes }: Node): readonly number[] {
  return (attributes["perm"] as { ints: readonly number[] }).ints;
}
