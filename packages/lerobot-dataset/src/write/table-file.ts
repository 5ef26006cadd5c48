/** @file Small parquet tables of meta/: columns with their schema, cells as JavaScript values. */
import type { SchemaElement } from "hyparquet";
import { type ColumnSource, parquetWriteBuffer } from "hyparquet-writer";
import { schemaOf } from "./parquet-columns.js";

/** A column's schema elements: the column itself, then its lists and its leaf. */
export type ColumnElements = readonly SchemaElement[];

/** One row by column name; a value that is not there is null. */
export type TableRow = Readonly<Record<string, unknown>>;

/** The bytes of a table with these columns. Numbers become what the column's leaf stores. */
export function tableBytes(
  columns: readonly ColumnElements[],
  rows: readonly TableRow[],
  kvMetadata: { key: string; value: string }[] = [],
): Uint8Array {
  const columnData = columns.map((elements): ColumnSource => {
    const name = elements[0]!.name;
    const cell = cellOf(elements.at(-1)!.type);
    return { name, data: rows.map((row) => cell(row[name])), statistics: false };
  });
  const schema = schemaOf(columns.map((elements) => [...elements]));
  return new Uint8Array(parquetWriteBuffer({ columnData, schema, kvMetadata }));
}

function cellOf(type: SchemaElement["type"]): (value: unknown) => unknown {
  const leaf = leafOf(type);
  const convert = (value: unknown): unknown => {
    if (value === undefined || value === null) return null;
    if (typeof value !== "object") return leaf(value);
    return Array.from(value as ArrayLike<unknown>, convert);
  };
  return convert;
}

function leafOf(type: SchemaElement["type"]): (value: unknown) => unknown {
  switch (type) {
    case "INT64":
      return (value) => (typeof value === "bigint" ? value : BigInt(Math.round(Number(value))));
    case "INT32":
      return (value) => Math.round(Number(value));
    case "FLOAT":
    case "DOUBLE":
      return Number;
    case "BOOLEAN":
      return Boolean;
    default:
      return String;
  }
}
