/**
 * @file Which nodes matter: everything that some value is computed from.
 */
import type { Node, Value } from "./graph.js";

/** The values that `roots` are computed from, `roots` included; aliases are followed to what they stand for. */
export function ancestors(roots: Iterable<Value>): Set<Value> {
  const seen = new Set<Value>();
  const stack = [...roots];
  for (let value = stack.pop(); value; value = stack.pop()) {
    if (seen.has(value)) continue;
    seen.add(value);
    if (value.producer) stack.push(...executedInputs(value.producer));
  }
  return seen;
}

/** The inputs that a node reads when it runs: an alias reads only what it stands for. */
export function executedInputs(node: Node): readonly Value[] {
  return node.rule.type === "Alias" ? node.inputs.slice(0, 1) : node.inputs;
}

/** What `value` stands for: itself, or the value behind its aliases. */
export function resolveAlias(value: Value): Value {
  let v = value;
  while (v.producer?.rule.type === "Alias") v = v.producer.inputs[0]!;
  return v;
}
