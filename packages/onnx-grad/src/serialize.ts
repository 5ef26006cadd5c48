/**
 * @file From graph to ONNX model. Only nodes that the outputs need are written; aliases vanish.
 * The opset and IR are the newest for which ONNX Runtime's CPU and CUDA providers have all our kernels.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { GraphError } from "./error.js";
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "./generated/onnx_pb.js";
import type { Attribute, DType, Graph, Value } from "./graph.js";
import { bfloat16Bits, float16Bits } from "./half.js";
import { ancestors, resolveAlias } from "./live.js";
import { ONNX_DTYPE } from "./ops/unary.js";

/** The version of ONNX's operator set that models import. */
export const OPSET = 21;
/** The version of ONNX's file format that models are written in: that of ONNX 1.16, which brought opset 21. */
export const IR_VERSION = 10;

/** A serialised model and what a caller has to feed it. */
export interface SerializedModel {
  bytes: Uint8Array<ArrayBuffer>;
  /** The graph inputs that the outputs depend on; the others are not part of the model. */
  inputs: readonly Value[];
}

/**
 * Serialise the part of `graph` that `outputs` (name → value) need.
 * @throws GraphError `graph/output` for an output of another graph, `graph/name` for one whose name a value of
 *   the model has.
 */
export function serialize(
  graph: Graph,
  outputs: ReadonlyMap<string, Value>,
  { name = "insula", doc = "" }: { name?: string; doc?: string } = {},
): SerializedModel {
  for (const [key, value] of outputs) {
    if (value.graph !== graph)
      throw new GraphError("graph/output", `serialize: output '${key}' belongs to another graph`);
  }
  const live = ancestors(outputs.values());
  for (const { name: taken } of live) {
    if (outputs.has(taken))
      throw new GraphError(
        "graph/name",
        `serialize: the output name '${taken}' is taken by a value of the graph`,
      );
  }
  const renamed = outputNames(outputs);
  const nameOf = (x: Value): string => renamed.get(x) ?? x.name;
  const nodes: NodeProto[] = [];
  for (const { rule, inputs, outputs: made, attributes } of graph.nodes) {
    if (rule.type === "Alias" || !made.some((y) => live.has(y))) continue;
    nodes.push(
      create(NodeProtoSchema, {
        opType: rule.type,
        name: made[0]!.name,
        input: inputs.map((x) => nameOf(resolveAlias(x))),
        // A result that nothing reads is left out by its empty name, where it is optional (all but the first are).
        output: made.map((y, i) => (i === 0 || live.has(y) || rule.type === "Split" ? nameOf(y) : "")),
        attribute: Object.entries(attributes).map(([key, a]) => attributeProto(key, a)),
      }),
    );
  }
  for (const [key, value] of outputs) {
    const made = resolveAlias(value);
    if (renamed.get(made) === key) continue;
    nodes.push(
      create(NodeProtoSchema, {
        opType: "Identity",
        name: `output/${key}`,
        input: [nameOf(made)],
        output: [key],
      }),
    );
  }
  const inputs = graph.inputs.filter((x) => live.has(x));
  const model = create(ModelProtoSchema, {
    irVersion: BigInt(IR_VERSION),
    producerName: "insula",
    opsetImport: [{ domain: "", version: BigInt(OPSET) }],
    docString: doc,
    graph: {
      name,
      node: nodes,
      input: inputs.map((x) => valueInfo(x.name, x)),
      output: [...outputs].map(([key, x]) => valueInfo(key, x)),
      initializer: [...graph.constants.values()].filter((x) => live.has(x)).map(tensorProto),
    },
  });
  return { bytes: toBinary(ModelProtoSchema, model) as Uint8Array<ArrayBuffer>, inputs };
}

/**
 * Values that carry an output's name themselves. An input keeps its own and a value has one name: a further output of
 * it is a copy.
 */
function outputNames(outputs: ReadonlyMap<string, Value>): Map<Value, string> {
  const names = new Map<Value, string>();
  for (const [key, value] of outputs) {
    const made = resolveAlias(value);
    if (made.producer && !names.has(made)) names.set(made, key);
  }
  return names;
}

function attributeProto(name: string, a: Attribute): AttributeProto {
  if ("int" in a) return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(a.int) });
  if ("float" in a) return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: a.float });
  if ("ints" in a)
    return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: a.ints.map(BigInt) });
  return create(AttributeProtoSchema, {
    name,
    type: AttributeType.STRING,
    s: new TextEncoder().encode(a.string),
  });
}

function valueInfo(name: string, { dtype, shape }: Value): ValueInfoProto {
  const dim = shape.map((d) => ({ value: { case: "dimValue" as const, value: BigInt(d) } }));
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: "tensorType", value: { elemType: ONNX_DTYPE[dtype], shape: { dim } } } },
  });
}

function tensorProto(value: Value): TensorProto {
  return create(TensorProtoSchema, {
    name: value.name,
    dims: value.shape.map(BigInt),
    dataType: ONNX_DTYPE[value.dtype],
    rawData: encode(value.dtype, value.constant!),
  });
}

function encode(dtype: DType, data: readonly number[]): Uint8Array<ArrayBuffer> {
  const bytes = (a: { buffer: ArrayBuffer }) => new Uint8Array(a.buffer);
  switch (dtype) {
    case "float32":
      return bytes(Float32Array.from(data));
    case "float64":
      return bytes(Float64Array.from(data));
    case "int32":
      return bytes(Int32Array.from(data));
    case "int64":
      return bytes(BigInt64Array.from(data, BigInt));
    case "uint8":
    case "bool":
      return Uint8Array.from(data);
    case "float16":
      return bytes(Uint16Array.from(data, float16Bits));
    case "bfloat16":
      return bytes(Uint16Array.from(data, bfloat16Bits));
  }
}
