/**
 * @file Operators and element types of a serialised ONNX model: the few protobuf fields that say so (onnx.proto,
 * field numbers in comments). Independent of the writer in onnx-grad, so that a test of what was written is one.
 */

/** A node as the file has it; `to` is Cast's attribute. */
export interface ModelNode {
  name: string;
  op: string;
  inputs: string[];
  outputs: string[];
  to?: string;
}

/** What a kernel check needs of a model. */
export interface ModelFacts {
  opset: number;
  nodes: ModelNode[];
  /** Element types of graph inputs and initializers, by name. */
  types: Map<string, string>;
  initializers: Set<string>;
}

/** TensorProto.DataType → the name that kernel tables use. */
const ELEMENT: Record<number, string> = {
  1: "float",
  2: "uint8",
  6: "int32",
  7: "int64",
  9: "bool",
  10: "float16",
  11: "double",
  16: "bfloat16",
};

interface Field {
  number: number;
  /** Varints. */
  value: number;
  /** Strings, messages, packed numbers. */
  bytes: Uint8Array;
}

/** Read a ModelProto. */
export function readModel(bytes: Uint8Array): ModelFacts {
  const facts: ModelFacts = { opset: 0, nodes: [], types: new Map(), initializers: new Set() };
  for (const field of fields(bytes)) {
    if (field.number === 8) facts.opset = one(field.bytes, 2)?.value ?? 0; // opset_import.version
    if (field.number === 7) readGraph(field.bytes, facts); // graph
  }
  return facts;
}

function readGraph(bytes: Uint8Array, { nodes, types, initializers }: ModelFacts): void {
  for (const field of fields(bytes)) {
    if (field.number === 1) nodes.push(readNode(field.bytes)); // node
    if (field.number === 5) {
      // initializer: name = 8, data_type = 2
      const name = text(one(field.bytes, 8));
      initializers.add(name);
      types.set(name, ELEMENT[one(field.bytes, 2)!.value] ?? "other");
    }
    if (field.number === 11) {
      // input: ValueInfoProto name = 1, type = 2 → tensor_type = 1 → elem_type = 1
      const elementType = one(one(one(field.bytes, 2)!.bytes, 1)!.bytes, 1)!.value;
      types.set(text(one(field.bytes, 1)), ELEMENT[elementType] ?? "other");
    }
  }
}

function readNode(bytes: Uint8Array): ModelNode {
  const node: ModelNode = { name: "", op: "", inputs: [], outputs: [] };
  let domain = "";
  for (const field of fields(bytes)) {
    if (field.number === 1) node.inputs.push(text(field));
    if (field.number === 2) node.outputs.push(text(field));
    if (field.number === 3) node.name = text(field);
    if (field.number === 4) node.op = text(field);
    if (field.number === 7) domain = text(field);
    // attribute: name = 1, i = 3
    if (field.number === 5 && text(one(field.bytes, 1)) === "to")
      node.to = ELEMENT[one(field.bytes, 3)!.value] ?? "other";
  }
  if (domain) node.op = `${domain}:${node.op}`;
  return node;
}

const decoder = new TextDecoder();
const text = (field: Field | undefined): string => (field ? decoder.decode(field.bytes) : "");

/** The last field with this number. */
function one(bytes: Uint8Array, number: number): Field | undefined {
  let found: Field | undefined;
  for (const field of fields(bytes)) if (field.number === number) found = field;
  return found;
}

function* fields(bytes: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const number = Math.floor(key / 8);
    const wire = key % 8;
    if (wire === 0) yield { number, value: varint(), bytes: new Uint8Array() };
    else {
      const length = wire === 2 ? varint() : wire === 1 ? 8 : 4;
      yield { number, value: 0, bytes: bytes.subarray(at, at + length) };
      at += length;
    }
  }
}
