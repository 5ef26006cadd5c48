/**
 * @file ONNX's element types (onnx.proto `TensorProto.DataType`, the same numbers as ONNX Runtime's
 * `ONNXTensorElementDataType`) by our names.
 */
import type { TensorType } from "./tensor.js";

/** Number of each element type that sessions exchange. */
export const ELEMENT_TYPE: Readonly<Record<TensorType, number>> = {
  float32: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16,
};

/** Our name of an element type; undefined for those that sessions do not exchange. */
export function elementTypeName(type: number): TensorType | undefined {
  return (Object.keys(ELEMENT_TYPE) as TensorType[]).find((name) => ELEMENT_TYPE[name] === type);
}
