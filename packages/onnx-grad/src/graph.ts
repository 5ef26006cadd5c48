/**
 * @file The graph: typed values with static shapes, and the nodes that make them. A graph only ever grows;
 * nodes stand in an order in which every input is made before it is read, so that order is also the order of
 * execution. Nothing here knows an operator: each family in `./ops` brings its own rule.
 */
import { GraphError } from "./error.js";

/** Element types, by their ONNX names in lower case. */
export type DType = "float32" | "float64" | "float16" | "bfloat16" | "int32" | "int64" | "uint8" | "bool";

/** Whether gradients flow through values of this type. */
export function isFloat(dtype: DType): boolean {
  return dtype === "float32" || dtype === "float64" || dtype === "float16" || dtype === "bfloat16";
}

/** A tensor-to-be: made by a node, fed as a graph input, or constant. */
export interface Value {
  readonly graph: Graph;
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** The node that makes it; undefined for inputs and constants. */
  readonly producer: Node | undefined;
  /** The data of a constant. */
  readonly constant?: ConstantData;
}

/** Constants hold plain numbers; they are encoded when the model is serialised. */
export type ConstantData = readonly number[];

/** Attributes of a node, typed as ONNX types them. */
export type Attribute =
  | { int: number }
  | { float: number }
  | { ints: readonly number[] }
  | { string: string };

/** What a vector-Jacobian product gets: a node's values and the gradients of its outputs. */
export interface VjpContext {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** One per output; undefined where the loss does not depend on that output. */
  readonly grads: readonly (Value | undefined)[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** The vector-Jacobian product of an operator: one gradient per input, undefined where none flows. */
export type Vjp = (context: VjpContext) => readonly (Value | undefined)[];

/** An operator: its ONNX name and how gradients pass it. */
export interface OpRule {
  /** ONNX operator type, or `Alias`: the first input under another name, removed when serialised. */
  readonly type: string;
  /** Absent: no gradient passes (comparisons, indices, stopGradient). */
  readonly vjp?: Vjp;
}

/** One application of an operator. The order of `inputs` and `outputs` is that of the ONNX operator. */
export interface Node {
  readonly rule: OpRule;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** The block that the node belongs to. */
  readonly block: Block | undefined;
}

/** A part of the forward pass with a say in its backward pass (see `checkpoint` and `segment`). */
export interface Block {
  readonly name: string;
  /** Inner values are computed again in the backward pass instead of kept. */
  readonly recompute: boolean;
  readonly nodes: Node[];
}

/**
 * A graph under construction. Operators find it through their arguments and append to it; nothing is ever
 * removed, and what no output needs is left out when it is serialised.
 */
export interface Graph {
  readonly nodes: Node[];
  readonly inputs: Value[];
  /** Names in use → how often; keeps names unique and readable. */
  readonly names: Map<string, number>;
  /** Constants by content, so that each is stored once. */
  readonly constants: Map<string, Value>;
  /** Prefix of the names of new values. */
  scope: string;
  /** The block that new nodes belong to. */
  block: Block | undefined;
}

/** An empty graph. */
export function createGraph(): Graph {
  return { nodes: [], inputs: [], names: new Map(), constants: new Map(), scope: "", block: undefined };
}

/** Declare a graph input. Its name is used as it is and must be free. */
export function input(graph: Graph, name: string, dtype: DType, shape: readonly number[]): Value {
  if (graph.names.has(name)) throw new GraphError("graph/name", `input: the name '${name}' is taken`);
  const value: Value = { graph, name: uniqueName(graph, name), dtype, shape, producer: undefined };
  graph.inputs.push(value);
  return value;
}

/** A constant tensor. Equal constants are one value. */
export function constant(
  graph: Graph,
  data: readonly number[],
  shape: readonly number[],
  dtype: DType = "float32",
): Value {
  if (data.length !== size(shape)) {
    throw new GraphError("graph/shape", `constant: ${data.length} elements do not fill shape ${show(shape)}`);
  }
  if (!isFloat(dtype) && !data.every(Number.isInteger)) {
    throw new GraphError(
      "graph/dtype",
      `constant: ${data.find((v) => !Number.isInteger(v))} is not of type ${dtype}`,
    );
  }
  const key = `${dtype}[${shape.join()}]${data.join()}`;
  const known = graph.constants.get(key);
  if (known) return known;
  const value: Value = {
    graph,
    name: uniqueName(graph, "constant"),
    dtype,
    shape,
    producer: undefined,
    constant: data,
  };
  graph.constants.set(key, value);
  return value;
}

/** A scalar constant of the given type. */
export function scalar(graph: Graph, value: number, dtype: DType = "float32"): Value {
  return constant(graph, [value], [], dtype);
}

/** Run `body` with `scope/` before the names of the values that it makes. */
export function withScope<T>(graph: Graph, scope: string, body: () => T): T {
  const outer = graph.scope;
  graph.scope = outer ? `${outer}/${scope}` : scope;
  try {
    return body();
  } finally {
    graph.scope = outer;
  }
}

/** Add a node; `outputs` gives type and shape of each result. */
export function addNode(
  rule: OpRule,
  inputs: readonly Value[],
  outputs: readonly { dtype: DType; shape: readonly number[] }[],
  attributes: Record<string, Attribute> = {},
): readonly Value[] {
  const graph = inputs[0]!.graph;
  for (const value of inputs) {
    if (value.graph !== graph)
      throw new GraphError("graph/foreign", `${rule.type}: '${value.name}' belongs to another graph`);
  }
  const stem = graph.scope ? `${graph.scope}/${rule.type}` : rule.type;
  const values: Value[] = [];
  const node: Node = { rule, inputs, outputs: values, attributes, block: graph.block };
  for (const { dtype, shape } of outputs) {
    values.push({ graph, name: uniqueName(graph, stem), dtype, shape, producer: node });
  }
  graph.nodes.push(node);
  graph.block?.nodes.push(node);
  return values;
}

/** Add a node with one result. */
export function addOp(
  rule: OpRule,
  inputs: readonly Value[],
  dtype: DType,
  shape: readonly number[],
  attributes?: Record<string, Attribute>,
): Value {
  return addNode(rule, inputs, [{ dtype, shape }], attributes)[0]!;
}

function uniqueName(graph: Graph, stem: string): string {
  const used = graph.names.get(stem) ?? 0;
  graph.names.set(stem, used + 1);
  if (used === 0) return stem;
  const name = `${stem}_${used}`;
  return graph.names.has(name) ? uniqueName(graph, stem) : uniqueName(graph, name);
}

/** Number of elements. */
export function size(shape: readonly number[]): number {
  return shape.reduce((product, d) => product * d, 1);
}

/** Whether two shapes are equal. */
export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

/** A shape as errors show it. */
export function show(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}
