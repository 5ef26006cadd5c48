/** @file Cells of numeric columns: numbers or nested lists, copied into flat typed arrays. */
import type { TypedArray } from "@insula/model-types";
import type { NumericDtype } from "../features.js";

/** What may be wrong with a cell: no value, lists of other lengths, no numbers. */
export type CellProblem = "null" | "width" | "type";

/** Copy one cell, a number or nested lists of shape `dims[depth…]`, to `data[at…]`; the problem, if any. */
export function copyCell(
  cell: unknown,
  dims: readonly number[],
  depth: number,
  data: TypedArray,
  at: number,
): CellProblem | undefined {
  if (cell === null || cell === undefined) return "null";
  if (typeof cell !== "object") {
    // A scalar stands for any remaining axes of length 1: shape [1] is a plain column.
    for (let d = depth; d < dims.length; d++) if (dims[d] !== 1) return "width";
    if (typeof cell === "string") return "type";
    if (!(data instanceof BigInt64Array)) (data as Float32Array)[at] = Number(cell);
    else if (typeof cell === "number" && !Number.isInteger(cell)) return "type";
    else data[at] = BigInt(cell as number);
    return undefined;
  }
  const list = cell as ArrayLike<unknown>;
  if (depth === dims.length || list.length !== dims[depth]) return "width";
  let stride = 1;
  for (let d = depth + 1; d < dims.length; d++) stride *= dims[d]!;
  for (let i = 0; i < list.length; i++) {
    const problem = copyCell(list[i], dims, depth + 1, data, at + i * stride);
    if (problem) return problem;
  }
  return undefined;
}

/** The lengths of a cell's nested lists. */
export function shapeOfCell(cell: unknown): number[] {
  const shape: number[] = [];
  for (let c = cell; typeof c === "object" && c !== null; c = (c as ArrayLike<unknown>)[0]) {
    shape.push((c as ArrayLike<unknown>).length);
  }
  return shape;
}

/** Room for `length` numbers of a feature. */
export function storageOf(dtype: NumericDtype, length: number): TypedArray {
  switch (dtype) {
    case "float64":
      return new Float64Array(length);
    case "float32":
      return new Float32Array(length);
    case "int64":
      return new BigInt64Array(length);
    case "int32":
      return new Int32Array(length);
    case "int16":
      return new Int16Array(length);
    case "int8":
      return new Int8Array(length);
    case "uint32":
      return new Uint32Array(length);
    case "uint16":
      return new Uint16Array(length);
    default:
      return new Uint8Array(length);
  }
}
