/**
 * @file The few array operations that transforms need, on plain row-major arrays: numbers out of any dtype,
 * zero padding of an axis, and the checks that turn a wrong leaf into a message about its key.
 */
import {
  InsulaError,
  isNdArray,
  type Leaf,
  type NdArray,
  type Sample,
  sizeOf,
  type TypedArray,
} from "@insula/model-types";

type TypedArrayConstructor = new (length: number) => TypedArray;

/** A zeroed array of the same element type as `like`. */
export function zerosLike<T extends TypedArray>(like: T, length: number): T {
  return new (like.constructor as TypedArrayConstructor)(length) as T;
}

/** The elements of `data` as indexable numbers; 64-bit integers are converted, the rest is not copied. */
export function numbersOf(data: TypedArray): Exclude<TypedArray, BigInt64Array | BigUint64Array> {
  return data instanceof BigInt64Array || data instanceof BigUint64Array
    ? Float64Array.from(data, Number)
    : data;
}

/** Whether `x` holds floating-point numbers. */
export function isFloat(x: NdArray): x is NdArray<Float32Array | Float64Array> {
  return x.data instanceof Float32Array || x.data instanceof Float64Array;
}

/** The size of the last axis. */
export function lastDim(x: NdArray): number {
  return x.shape[x.shape.length - 1] ?? 1;
}

/**
 * The array under `key` of a sample.
 * @throws InsulaError `transforms/missing-key` or `transforms/not-an-array`.
 */
export function requireArray(caller: string, sample: Sample, key: string): NdArray {
  const leaf = sample[key];
  if (leaf === undefined) {
    throw new InsulaError(
      "transforms/missing-key",
      `${caller}: missing key '${key}' (available: ${Object.keys(sample).join(", ") || "none"})`,
    );
  }
  return asArray(caller, key, leaf);
}

/**
 * `leaf` as an array of at least one axis.
 * @throws InsulaError `transforms/not-an-array`, `transforms/shape` when its shape does not count its elements.
 */
export function asArray(caller: string, key: string, leaf: Leaf | Sample): NdArray {
  if (isNdArray(leaf) && leaf.shape.length > 0) return checkShape(caller, key, leaf);
  const found = isNdArray(leaf)
    ? "an array of shape []"
    : typeof leaf === "object"
      ? "a record"
      : typeof leaf;
  throw new InsulaError(
    "transforms/not-an-array",
    `${caller}: ${key}: expected an array of at least one axis, found ${found}`,
  );
}

/** @throws InsulaError `transforms/shape` unless the axes are whole numbers whose product is the element count. */
export function checkShape<T extends TypedArray>(caller: string, key: string, x: NdArray<T>): NdArray<T> {
  if (x.shape.every((d) => Number.isSafeInteger(d) && d >= 0) && sizeOf(x.shape) === x.data.length) return x;
  throw new InsulaError(
    "transforms/shape",
    `${caller}: ${key}: shape ${shapeText(x.shape)} does not fit its ${x.data.length} elements`,
  );
}

/** `[2, 3]`, for messages. */
export function shapeText(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}

/**
 * Pad `axis` of `x` at its end with `value` up to `size`; an axis that is as long or longer is returned as it
 * is, never cut (openpi `pad_to_dim`).
 */
export function padToDim<T extends TypedArray>(
  x: NdArray<T>,
  size: number,
  axis: number = -1,
  value: number = 0,
): NdArray<T> {
  const rank = x.shape.length;
  const at = axis < 0 ? rank + axis : axis;
  const length = x.shape[at];
  if (length === undefined) {
    throw new InsulaError(
      "transforms/axis",
      `padToDim: axis ${axis} of an array of shape ${shapeText(x.shape)}`,
    );
  }
  if (length >= size) return x;
  const shape = x.shape.map((d, i) => (i === at ? size : d));
  const outer = sizeOf(x.shape.slice(0, at));
  const inner = sizeOf(x.shape.slice(at + 1));
  const data = zerosLike(x.data, sizeOf(shape));
  if (value !== 0) {
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) data.fill(BigInt(value));
    else (data as Float64Array).fill(value);
  }
  for (let o = 0; o < outer; o++) {
    const row = x.data.subarray(o * length * inner, (o + 1) * length * inner);
    (data as Float64Array).set(row as Float64Array, o * size * inner);
  }
  return { data, shape };
}
