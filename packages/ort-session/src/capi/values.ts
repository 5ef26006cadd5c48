/**
 * @file OrtValues over memory that we own.
 */
import type { Tensor, TensorType } from "../tensor.js";
import type { Api, Handle } from "./api.js";

/** ONNXTensorElementDataType by our names, and back. */
const ELEMENT_TYPE: Record<TensorType, number> = {
  float32: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
};

/** Our name of an ONNXTensorElementDataType; undefined for those that sessions do not exchange. */
export function elementTypeName(type: number): TensorType | undefined {
  return (Object.keys(ELEMENT_TYPE) as TensorType[]).find((name) => ELEMENT_TYPE[name] === type);
}

/**
 * An OrtValue that reads and writes `tensor.data` itself. The caller keeps the tensor alive as long as the value,
 * and releases the value.
 */
export function valueOver(api: Api, memoryInfo: Handle, { data, shape, type }: Tensor): Handle {
  // Small typed arrays live on V8's movable heap until their buffer is asked for.
  void data.buffer;
  const dims = BigInt64Array.from(shape, BigInt);
  return api.get(
    "CreateTensorWithDataAsOrtValue",
    memoryInfo,
    data,
    data.byteLength,
    dims,
    shape.length,
    ELEMENT_TYPE[type],
  );
}
