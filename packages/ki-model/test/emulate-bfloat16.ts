/**
 * @file A bfloat16 graph on a device without bfloat16: every value that is bfloat16 becomes a float32 that has been
 * rounded to bfloat16 where it is made. A product then accumulates in float32 and rounds once, as tensor cores do.
 */
import {
  addNode,
  ancestors,
  cast,
  constant,
  createGraph,
  type Graph,
  input,
  type Value,
} from "@insula/onnx-grad";

/** The same model over float32 values, and its outputs; the names of inputs stay. */
export function emulateBfloat16(
  original: Graph,
  outputs: ReadonlyMap<string, Value>,
): { graph: Graph; outputs: Map<string, Value>; rounded: number } {
  const graph = createGraph();
  const live = ancestors(outputs.values());
  const known = new Map<Value, Value>();
  let rounded = 0;
  const round = (x: Value): Value => {
    rounded++;
    return cast(cast(x, "bfloat16"), "float32");
  };
  const wide = ({ dtype }: Value) => (dtype === "bfloat16" ? "float32" : dtype);
  const keep = (from: Value, to: Value) => known.set(from, from.dtype === "bfloat16" ? round(to) : to);
  for (const x of original.inputs) if (live.has(x)) keep(x, input(graph, x.name, wide(x), x.shape));
  for (const x of original.constants.values())
    if (live.has(x)) keep(x, constant(graph, x.constant!, x.shape, wide(x)));
  for (const { rule, inputs, outputs: made, attributes } of original.nodes) {
    if (!made.some((y) => live.has(y))) continue;
    if (rule.type === "Alias") {
      known.set(made[0]!, known.get(inputs[0]!)!);
    } else if (rule.type === "Cast") {
      keep(made[0]!, cast(known.get(inputs[0]!)!, wide(made[0]!)));
    } else {
      const results = addNode(
        rule,
        inputs.map((x) => known.get(x)!),
        made.map((y) => ({ dtype: wide(y), shape: y.shape })),
        attributes,
      );
      made.forEach((y, i) => {
        keep(y, results[i]!);
      });
    }
  }
  return { graph, outputs: new Map([...outputs].map(([name, y]) => [name, known.get(y)!])), rounded };
}
