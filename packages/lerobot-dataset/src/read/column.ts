/** @file A loaded column, and columns in memory that threads share: a worker need not hold its own. */
import type { NdArray, TypedArray } from "@insula/model-types";

/** A loaded column: numbers `[totalFrames, ...shape]`, or one string per frame. */
export type Column = { kind: "numeric"; array: NdArray } | { kind: "text"; values: string[] };

/** Loaded columns by name, to be passed to a worker: numbers are shared, texts are copied. */
export type SharedColumns = ReadonlyMap<string, Column>;

/** `column` with its numbers in shared memory. */
export function shareColumn(column: Column): Column {
  return column.kind === "numeric" ? { kind: "numeric", array: shareArray(column.array) } : column;
}

function shareArray({ data, shape }: NdArray): NdArray {
  if (data.buffer instanceof SharedArrayBuffer) return { data, shape };
  const Type = data.constructor as new (buffer: ArrayBufferLike) => TypedArray;
  const shared = new Type(new SharedArrayBuffer(data.byteLength));
  shared.set(data as never);
  return { data: shared, shape };
}
