/**
 * @file Bytes of a value.
 */
import { type DType, size } from "../graph.js";

/** Bytes of one element, by type. */
export const DTYPE_BYTES: Readonly<Record<DType, number>> = {
  float32: 4,
  float64: 8,
  float16: 2,
  bfloat16: 2,
  int32: 4,
  int64: 8,
  uint8: 1,
  bool: 1,
};

/** Bytes of the elements of `value`. */
export function byteSize({ dtype, shape }: { dtype: DType; shape: readonly number[] }): number {
  return DTYPE_BYTES[dtype] * size(shape);
}
