/**
 * @file Tensors at the border to ONNX Runtime: an NdArray with its ONNX element type. Booleans and uint8 share
 * a storage, so the type is named; everything else follows from the typed array.
 */
import { InsulaError, type NdArray, sizeOf, type TypedArray } from "@insula/model-types";

/** Element types that sessions exchange. 16-bit floats keep their bits in a `Uint16Array`. */
export type TensorType =
  | "float32"
  | "float64"
  | "float16"
  | "bfloat16"
  | "int32"
  | "int64"
  | "uint8"
  | "bool";

/** A host tensor. */
export interface Tensor<T extends TypedArray = TypedArray> extends NdArray<T> {
  readonly type: TensorType;
}

/** The storage of each type. */
const STORAGE = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

/**
 * Make a tensor; the type follows from the array unless it is `bool`, `float16` or `bfloat16`.
 * @throws InsulaError `tensor/type` when array and type do not match, `tensor/shape` when the shape is not filled.
 */
export function tensor<T extends TypedArray>(
  data: T,
  shape: readonly number[],
  type: TensorType = typeOf(data),
): Tensor<T> {
  if (!(data instanceof STORAGE[type])) {
    throw new InsulaError(
      "tensor/type",
      `tensor: ${type} is stored in ${STORAGE[type].name}, found ${data.constructor.name}`,
    );
  }
  if (data.length !== sizeOf(shape)) {
    throw new InsulaError(
      "tensor/shape",
      `tensor: ${data.length} elements do not fill shape [${shape.join(", ")}]`,
    );
  }
  return { data, shape, type };
}

/** A zero tensor. */
export function zerosTensor(type: TensorType, shape: readonly number[]): Tensor {
  return { data: new STORAGE[type](sizeOf(shape)), shape, type };
}

function typeOf(data: TypedArray): TensorType {
  for (const type of ["float32", "float64", "int32", "int64", "uint8"] as const) {
    if (data instanceof STORAGE[type]) return type;
  }
  throw new InsulaError("tensor/type", `tensor: no element type for ${data.constructor.name}; name it`);
}
