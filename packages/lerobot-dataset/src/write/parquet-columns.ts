/**
 * @file From features to parquet as LeRobot's own writer lays it out: shape `[1]` is a plain column, vectors
 * and matrices are 3-level LISTs, images are `struct<bytes: binary, path: string>`, all optional; the
 * "huggingface" key of the file's metadata tells `datasets` the fixed lengths.
 */
import { InsulaError, type NdArray, sizeOf } from "@insula/model-types";
import type { SchemaElement } from "hyparquet";
import type { ColumnSource } from "hyparquet-writer";
import { type FeatureSpec, type Features, isNumeric, isScalar, type NumericDtype } from "../features.js";

/** A camera's cell. LeRobot keeps the file name of the frame in `path`; the bytes are the truth. */
export interface ImageCell {
  bytes: Uint8Array;
  path: string;
}

const LEAVES: Record<NumericDtype, Partial<SchemaElement>> = {
  bool: { type: "BOOLEAN" },
  int8: { type: "INT32", converted_type: "INT_8" },
  int16: { type: "INT32", converted_type: "INT_16" },
  int32: { type: "INT32" },
  int64: { type: "INT64" },
  uint8: { type: "INT32", converted_type: "UINT_8" },
  uint16: { type: "INT32", converted_type: "UINT_16" },
  uint32: { type: "INT32", converted_type: "UINT_32" },
  float32: { type: "FLOAT" },
  float64: { type: "DOUBLE" },
};

export const STRING_LEAF: Partial<SchemaElement> = {
  type: "BYTE_ARRAY",
  converted_type: "UTF8",
  logical_type: { type: "STRING" },
};

/** The leaf of a numeric column. */
export function numericLeaf(dtype: NumericDtype): Partial<SchemaElement> {
  return LEAVES[dtype];
}

/** Schema elements of a column of `depth` nested lists around `leaf`. */
export function listElements(name: string, depth: number, leaf: Partial<SchemaElement>): SchemaElement[] {
  if (depth === 0) return [{ name, repetition_type: "OPTIONAL", ...leaf }];
  return [
    {
      name,
      repetition_type: "OPTIONAL",
      num_children: 1,
      converted_type: "LIST",
      logical_type: { type: "LIST" },
    },
    { name: "list", repetition_type: "REPEATED", num_children: 1 },
    ...listElements("element", depth - 1, leaf),
  ];
}

/** The root of a schema followed by the elements of each column. */
export function schemaOf(columns: readonly SchemaElement[][]): SchemaElement[] {
  return [{ name: "schema", repetition_type: "REQUIRED", num_children: columns.length }, ...columns.flat()];
}

/** Schema elements of the column that stores `feature`. */
export function featureElements(name: string, feature: FeatureSpec): SchemaElement[] {
  if (feature.dtype === "image") {
    return [
      { name, repetition_type: "OPTIONAL", num_children: 2 },
      { name: "bytes", repetition_type: "OPTIONAL", type: "BYTE_ARRAY" },
      { name: "path", repetition_type: "OPTIONAL", ...STRING_LEAF } as SchemaElement,
    ];
  }
  const depth = isScalar(feature.shape) ? 0 : feature.shape.length;
  const leaf = isNumeric(feature.dtype) ? numericLeaf(feature.dtype) : STRING_LEAF;
  return listElements(name, depth, leaf);
}

/** The features that have a column in the data files: all but videos. */
export function inDataFiles(features: Features): Features {
  return Object.fromEntries(Object.entries(features).filter(([, { dtype }]) => dtype !== "video"));
}

/** The value of the "huggingface" metadata key: the `datasets.Features` of the table. */
export function huggingfaceMetadata(features: Features): string {
  const entries = Object.entries(inDataFiles(features)).map(([name, { dtype, shape }]) => {
    if (dtype === "image") return [name, { _type: "Image" }];
    if (isScalar(shape)) return [name, { dtype, _type: "Value" }];
    if (shape.length === 1) {
      return [name, { feature: { dtype, _type: "Value" }, length: shape[0], _type: "List" }];
    }
    return [name, { shape, dtype, _type: `Array${shape.length}D` }];
  });
  return JSON.stringify({ info: { features: Object.fromEntries(entries) } });
}

type Cell = number | bigint | boolean | Cell[];

/** Rows of `array` `[frames, ...shape]` as parquet cells: numbers, or nested lists of them. */
export function toCells(array: NdArray, dtype: NumericDtype, shape: readonly number[]): Cell[] {
  const frames = array.shape[0]!;
  const convert = converter(dtype, array.data);
  const take = (at: number, dims: readonly number[]): Cell => {
    if (dims.length === 0) return convert(array.data[at]!);
    const stride = sizeOf(dims.slice(1));
    return Array.from({ length: dims[0]! }, (_, i) => take(at + i * stride, dims.slice(1)));
  };
  const dims = isScalar(shape) ? [] : shape;
  const stride = sizeOf(dims);
  return Array.from({ length: frames }, (_, i) => take(i * stride, dims));
}

function converter(dtype: NumericDtype, data: NdArray["data"]): (value: number | bigint) => Cell {
  const integral = !(data instanceof Float32Array || data instanceof Float64Array);
  if (dtype === "bool") return (value) => Boolean(value);
  if (dtype.startsWith("float")) return Number;
  if (!integral) {
    throw new InsulaError("dataset/dtype", `expected ${dtype} values, found a ${data.constructor.name}`);
  }
  return dtype === "int64" ? BigInt : Number;
}

/** The parquet column of images: never compressed again, never in a dictionary, read page by page. */
export function imageColumn(name: string, cells: ImageCell[]): ColumnSource {
  return {
    name,
    data: cells,
    codec: "UNCOMPRESSED",
    encoding: "PLAIN",
    statistics: false,
    offsetIndex: true,
  };
}
