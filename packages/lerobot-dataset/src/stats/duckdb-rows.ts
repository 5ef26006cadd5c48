/**
 * @file Row blocks through DuckDB (optional package @duckdb/node-api): it scans parquet in C++ on several threads with
 * bounded memory, and its list vectors show their values without building an array per row.
 */
import { availableParallelism } from "node:os";
import type { DuckDBConnection, DuckDBListVector, DuckDBVector } from "@duckdb/node-api";
import { InsulaError, sizeOf, type TypedArray } from "@insula/model-types";
import type { CellProblem } from "../read/cells.js";
import { checkRowCount, type DataFile, type RowProblem, type RowReader } from "./rows.js";

/** Files per query: bounds the text of the query and the files open at a time. */
const FILES_PER_QUERY = 512;

/** More threads only wait for the one that takes the rows. */
const MAX_THREADS = 4;

type DuckDB = typeof import("@duckdb/node-api");

const importDuckDB = (): Promise<DuckDB> => import("@duckdb/node-api");

/** Whether the optional package is installed and its library loads here. */
export async function hasDuckDB(load: () => Promise<unknown> = importDuckDB): Promise<boolean> {
  return load().then(
    () => true,
    () => false,
  );
}

/** Load DuckDB. @throws InsulaError `dataset/no-duckdb` saying how to install it. */
export async function loadDuckDB(load: () => Promise<DuckDB> = importDuckDB): Promise<DuckDB> {
  return load().catch((cause: unknown) => {
    throw new InsulaError(
      "dataset/no-duckdb",
      "engine duckdb: the optional package @duckdb/node-api is not installed or does not load here; install it (npm install @duckdb/node-api), or use engine hyparquet",
      { cause },
    );
  });
}

/** Scans with at most 256 MB of DuckDB's own. @throws InsulaError `dataset/no-duckdb`. */
export const duckdbRows: RowReader = async function* (files, names) {
  const { DuckDBInstance, DuckDBListVector } = await loadDuckDB();
  const isList: IsList = (v): v is DuckDBListVector => v instanceof DuckDBListVector;
  const instance = await DuckDBInstance.create(":memory:", {
    memory_limit: "256MB",
    threads: String(Math.min(MAX_THREADS, availableParallelism())),
    autoinstall_known_extensions: "false",
    autoload_known_extensions: "false",
  });
  const connection = await instance.connect();
  try {
    const select = names.map((name) => `"${name.replaceAll('"', '""')}"`).join(", ");
    for (let i = 0; i < files.length; i += FILES_PER_QUERY) {
      const some = files.slice(i, i + FILES_PER_QUERY);
      const list = `[${some.map(({ path }) => literalPath(path)).join(", ")}]`;
      await checkRowCounts(connection, some, list);
      const result = await connection
        .stream(`SELECT ${select} FROM read_parquet(${list}, hive_partitioning = false)`)
        .catch((cause: unknown) => failed(some, names, cause));
      for (;;) {
        const chunk = await result.fetchChunk().catch((cause: unknown) => failed(some, names, cause));
        if (!chunk || chunk.rowCount === 0) break;
        const vectors = names.map((_, column) => chunk.getColumnVector(column));
        yield {
          rows: chunk.rowCount,
          copy: (column, row, n, dims, data, at) =>
            copyRows(vectors[column]!, row, n, dims, data, at, isList),
        };
      }
    }
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
};

/** Footers only. */
async function checkRowCounts(
  connection: DuckDBConnection,
  files: readonly DataFile[],
  list: string,
): Promise<void> {
  const sql = `SELECT num_rows FROM parquet_file_metadata(${list})`;
  const reader = await connection.runAndReadAll(sql).catch((cause: unknown) => failed(files, [], cause));
  for (const [i, [rows]] of reader.getRows().entries()) checkRowCount(files[i]!, Number(rows));
}

/** A path as an SQL string that no character of is a wildcard. */
function literalPath(path: string): string {
  return `'${path.replace(/[*?[]/g, "[$&]").replaceAll("'", "''")}'`;
}

/** DuckDB names the file where one is broken. */
function failed(files: readonly DataFile[], names: readonly string[], cause: unknown): never {
  const { message } = cause as Error;
  const where = files.find(({ path }) => message.includes(path))?.path ?? files[0]!.path;
  const missing = names.find((name) => message.includes(`"${name}"`));
  if (missing !== undefined && /Binder Error|column/i.test(message)) {
    throw new InsulaError(
      "dataset/missing-key",
      `${where}: meta/info.json names '${missing}', but the file has no such column`,
      { cause },
    );
  }
  const code = /No files found|Cannot open file/i.test(message) ? "dataset/missing-file" : "dataset/parquet";
  throw new InsulaError(code, `${where}: ${message.split("\n")[0]}`, { cause });
}

type IsList = (v: DuckDBVector) => v is DuckDBListVector;

/** Rows `[row, row + n)` to `data[at…]`. */
function copyRows(
  vector: DuckDBVector,
  row: number,
  n: number,
  dims: readonly number[],
  data: TypedArray,
  at: number,
  isList: IsList,
): RowProblem | undefined {
  const dim = sizeOf(dims);
  let i = 0;
  // Almost every column is floats or lists of floats; what is not, or is wrong, goes cell by cell.
  if (data instanceof Float32Array || data instanceof Float64Array) {
    if (!isList(vector)) {
      if (dim === 1) i = copyFloats(vector, row, n, data, at);
    } else if (dims.length === 1 && !isList(vector.childVector)) {
      const whole = rowsInARow(vector, row, n, dim);
      const copied =
        whole && copyFloats(vector.childVector, vector.getEntryOffset(row), whole * dim, data, at);
      i = Math.floor(copied / dim);
    }
  }
  for (; i < n; i++) {
    const problem = copyCell(vector, row + i, dims, 0, data, at + i * dim, isList);
    if (problem) return { row: row + i, ...problem };
  }
  return undefined;
}

/** How many lists of `dim` values from `row` on lie one behind the other. */
function rowsInARow(vector: DuckDBListVector, row: number, n: number, dim: number): number {
  const from = vector.getEntryOffset(row);
  let i = 0;
  while (i < n && vector.getEntryLength(row + i) === dim && vector.getEntryOffset(row + i) === from + i * dim)
    i++;
  return i;
}

/** Copy numbers until one is none; how many were. A loop of its own, small enough that no number is boxed. */
function copyFloats(
  vector: DuckDBVector,
  from: number,
  n: number,
  data: Float32Array | Float64Array,
  at: number,
): number {
  for (let i = 0; i < n; i++) {
    const item = vector.getItem(from + i);
    if (typeof item !== "number") return i;
    data[at + i] = item;
  }
  return n;
}

/** A number, or nested lists of shape `dims[depth…]`, to `data[at…]`. */
function copyCell(
  vector: DuckDBVector,
  row: number,
  dims: readonly number[],
  depth: number,
  data: TypedArray,
  at: number,
  isList: IsList,
): Omit<RowProblem, "row"> | undefined {
  if (!isList(vector)) {
    // A scalar stands for any remaining axes of length 1: shape [1] is a plain column.
    for (let d = depth; d < dims.length; d++) if (dims[d] !== 1) return { kind: "width", found: "" };
    const kind = copyItem(vector, row, data, at);
    return kind && { kind, found: String(vector.type) };
  }
  const found = vector.getEntryLength(row);
  const child = vector.childVector;
  const from = vector.getEntryOffset(row);
  if (depth === dims.length || found !== dims[depth]) {
    if (found === 0 && vector.getItemVector(row) === null) return { kind: "null", found: "null" };
    return { kind: "width", found: String(found) };
  }
  let stride = 1;
  for (let d = depth + 1; d < dims.length; d++) stride *= dims[d]!;
  for (let i = 0; i < found; i++) {
    const problem = copyCell(child, from + i, dims, depth + 1, data, at + i * stride, isList);
    if (problem) return problem;
  }
  return undefined;
}

/** One value; the problem, if any. */
function copyItem(vector: DuckDBVector, row: number, data: TypedArray, at: number): CellProblem | undefined {
  const item: unknown = vector.getItem(row);
  if (item === null) return "null";
  if (typeof item === "string" || typeof item === "object") return "type";
  if (!(data instanceof BigInt64Array)) (data as Float32Array)[at] = Number(item);
  else if (typeof item === "number" && !Number.isInteger(item)) return "type";
  else data[at] = BigInt(item as number);
  return undefined;
}
