/**
 * @file Just enough of onnx.proto to write a model without attributes or weights: what copies tensors between
 * devices is a model of one Identity.
 */
import { ELEMENT_TYPE } from "./element-types.js";
import type { TensorType } from "./tensor.js";

/** An input or output; without a shape it takes any. */
export interface ModelSlot {
  name: string;
  type: TensorType;
  shape?: readonly number[];
}

/** A node of the default domain. */
export interface ModelNode {
  op: string;
  inputs: readonly string[];
  outputs: readonly string[];
  name?: string;
}

const IR_VERSION = 10;
const OPSET = 21;

/** Serialise a model: nodes in topological order. */
export function modelBytes(graph: {
  nodes: readonly ModelNode[];
  inputs: readonly ModelSlot[];
  outputs: readonly ModelSlot[];
}): Uint8Array {
  const body = [
    ...graph.nodes.map((node) => field(1, nodeBytes(node))),
    field(2, text("graph")),
    ...graph.inputs.map((slot) => field(11, slotBytes(slot))),
    ...graph.outputs.map((slot) => field(12, slotBytes(slot))),
  ].flat();
  return Uint8Array.from([...number(1, IR_VERSION), ...field(7, body), ...field(8, number(2, OPSET))]);
}

/** `y = x`, of one type and any shape. */
export function identityModel(type: TensorType): Uint8Array {
  return modelBytes({
    nodes: [{ op: "Identity", inputs: ["x"], outputs: ["y"] }],
    inputs: [{ name: "x", type }],
    outputs: [{ name: "y", type }],
  });
}

/** NodeProto */
function nodeBytes({ op, inputs, outputs, name = outputs[0] ?? "" }: ModelNode): number[] {
  return [
    ...inputs.flatMap((input) => field(1, text(input))),
    ...outputs.flatMap((output) => field(2, text(output))),
    ...field(3, text(name)),
    ...field(4, text(op)),
  ];
}

/** ValueInfoProto */
function slotBytes({ name, type, shape }: ModelSlot): number[] {
  const dims = shape?.flatMap((size) => field(1, number(1, size)));
  const tensor = [...number(1, ELEMENT_TYPE[type]), ...(dims ? field(2, dims) : [])];
  return [...field(1, text(name)), ...field(2, field(1, tensor))];
}

/** A varint field. */
function number(id: number, value: number): number[] {
  return [...varint(id << 3), ...varint(value)];
}

/** A length-delimited field. */
function field(id: number, bytes: readonly number[]): number[] {
  return [...varint((id << 3) | 2), ...varint(bytes.length), ...bytes];
}

function varint(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128);
  return [...out, rest];
}

function text(value: string): number[] {
  return [...new TextEncoder().encode(value)];
}
