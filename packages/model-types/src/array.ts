/**
 * @file Plain arrays: a typed array and its shape, row-major. Everything that flows through Insula,
 * from an episode's frame to a model's parameter, is one of these or a nested record of them.
 */

import { InsulaError } from "./error.js";

/** Element storage. Booleans are `Uint8Array` holding 0 and 1. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** A row-major array: `data.length` is the product of `shape`; shape `[]` is a scalar. */
export interface NdArray<T extends TypedArray = TypedArray> {
  readonly data: T;
  readonly shape: readonly number[];
}

/** A leaf of a {@link Sample}. */
export type Leaf = NdArray | string | number | boolean | bigint;

/** One un-batched sample: a nested record of leaves. Flattened, its keys are joined with `/`. */
export interface Sample {
  [key: string]: Leaf | Sample;
}

/** The number of elements of `shape`. */
export function sizeOf(shape: readonly number[]): number {
  let size = 1;
  for (const d of shape) size *= d;
  return size;
}

/**
 * Make an {@link NdArray}, checking that the data fills the shape.
 * @throws InsulaError `array/shape` when it does not.
 */
export function ndarray<T extends TypedArray>(data: T, shape: readonly number[]): NdArray<T> {
  if (data.length !== sizeOf(shape)) {
    throw new InsulaError(
      "array/shape",
      `ndarray: ${data.length} elements do not fill shape [${shape.join(", ")}]`,
    );
  }
  return { data, shape };
}

/** Whether `value` is an {@link NdArray} (as opposed to a nested record or a scalar leaf). */
export function isNdArray(value: unknown): value is NdArray {
  return (
    typeof value === "object" &&
    value !== null &&
    ArrayBuffer.isView((value as { data?: unknown }).data) &&
    Array.isArray((value as { shape?: unknown }).shape)
  );
}
