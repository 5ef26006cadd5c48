/**
 * @file A parquet file's footer, read and held against the file: what it says about rows, columns and places has
 * to fit in the bytes there are, before anything is allocated by it.
 */
import { type AsyncBuffer, type FileMetaData, parquetMetadata, type SchemaElement } from "hyparquet";
import { CODECS } from "./codecs.js";
import { readStruct } from "./thrift.js";

/** The part of a file that one column of one row group takes. */
export interface ColumnChunk {
  readonly start: number;
  readonly end: number;
  /** Name of the top-level column. */
  readonly column: string;
  readonly rows: number;
  /** Values and nulls, list elements counted one by one. */
  readonly values: number;
  readonly codec: string;
  readonly type: string;
  /** Bytes per value of type FIXED_LEN_BYTE_ARRAY. */
  readonly typeLength: number;
  readonly maxDefinition: number;
  readonly maxRepetition: number;
  /** Where its page index lies, if there is one. */
  readonly index?: { readonly start: number; readonly end: number };
}

/** LeRobot's files of 100 MB have footers of a few hundred kB. */
const MAX_FOOTER_BYTES = 1 << 27;
const MAX_SCHEMA_ELEMENTS = 1 << 16;
const MAX_SCHEMA_DEPTH = 24;
/** Values of one column in one row group: a million rows of 64 joints, twice over. */
const MAX_CHUNK_VALUES = 1 << 27;
const MAX_VALUES_PER_ROW = 1 << 12;
/** Rows per byte of file: an index and a timestamp differ in every row, so real files are far below. */
const ROWS_PER_BYTE = 16;
const ROWS_IN_ANY_FILE = 1 << 16;

/** What lies where in a file. */
export interface FileMap {
  /** In the order of their places. */
  readonly chunks: readonly ColumnChunk[];
  /** The chunks that have a page index, by where that begins. */
  readonly indexes: ReadonlyMap<number, ColumnChunk>;
}

/** The footer of `file`. @throws Error when it is cut short or promises what the file cannot hold. */
export async function readFooter(file: AsyncBuffer): Promise<{ metadata: FileMetaData; map: FileMap }> {
  const size = file.byteLength;
  if (size < 12) throw new Error(`${size} bytes`);
  const tail = new DataView(await file.slice(size - 8, size));
  if (tail.getUint32(4, true) !== 0x31524150) throw new Error("does not end with PAR1");
  const length = tail.getUint32(0, true);
  if (length > Math.min(size - 8, MAX_FOOTER_BYTES)) throw new Error(`a footer of ${length} bytes`);
  const bytes = new Uint8Array(await file.slice(size - 8 - length, size));
  readStruct({ bytes, at: 0, end: length });
  const metadata = parquetMetadata(bytes, { geoparquet: false });
  const chunks = checkMetadata(metadata, size);
  const indexes = new Map(chunks.flatMap((chunk) => (chunk.index ? [[chunk.index.start, chunk]] : [])));
  return { metadata, map: { chunks, indexes } };
}

/** More rows than a file of `bytes` can hold. */
export function maxRows(bytes: number): number {
  return ROWS_IN_ANY_FILE + ROWS_PER_BYTE * bytes;
}

interface Leaf {
  path: string;
  element: SchemaElement;
  maxDefinition: number;
  maxRepetition: number;
}

function checkMetadata(metadata: FileMetaData, size: number): ColumnChunk[] {
  const leaves = new Map(leavesOf(metadata.schema).map((leaf) => [leaf.path, leaf]));
  let total = 0;
  let bytes = 0;
  const chunks = metadata.row_groups.flatMap((group, g) => {
    const rows = count(group.num_rows, `row group ${g}: rows`);
    total += rows;
    if (group.columns.length !== leaves.size)
      throw new Error(`row group ${g}: ${group.columns.length} columns`);
    return group.columns.map((entry): ColumnChunk => {
      const { meta_data: data, offset_index_offset: at, offset_index_length: length } = entry;
      const leaf = leaves.get(data?.path_in_schema.join(".") ?? "");
      if (!data || !leaf || entry.file_path) throw new Error(`row group ${g}: a column without a place`);
      const what = `row group ${g}: ${leaf.path}`;
      const values = count(data.num_values, `${what}: values`);
      const flat = leaf.maxRepetition === 0;
      if (flat ? values !== rows : values < rows || values > rows * MAX_VALUES_PER_ROW) {
        throw new Error(`${what}: ${values} values in ${rows} rows`);
      }
      if (values > MAX_CHUNK_VALUES) throw new Error(`${what}: ${values} values`);
      if (data.type !== leaf.element.type) throw new Error(`${what}: type ${data.type}`);
      if (!(data.codec in CODECS)) throw new Error(`${what}: unsupported compression ${data.codec}`);
      const start = count(data.dictionary_page_offset || data.data_page_offset, `${what}: offset`);
      const end = start + count(data.total_compressed_size, `${what}: size`);
      bytes += end - start;
      if (end > size) throw new Error(`${what}: ends at byte ${end} of ${size}`);
      const from = at === undefined ? undefined : count(at, `${what}: page index`);
      return {
        start,
        end,
        column: data.path_in_schema[0]!,
        rows,
        values,
        codec: data.codec,
        type: data.type,
        typeLength: leaf.element.type_length ?? 0,
        maxDefinition: leaf.maxDefinition,
        maxRepetition: leaf.maxRepetition,
        ...(from !== undefined && {
          index: { start: from, end: from + count(length, `${what}: page index`) },
        }),
      };
    });
  });
  if (total !== Number(metadata.num_rows))
    throw new Error(`${metadata.num_rows} rows, ${total} in row groups`);
  if (total > maxRows(size)) throw new Error(`${total} rows in ${size} bytes`);
  if (bytes > size) throw new Error(`columns of ${bytes} bytes in a file of ${size}`);
  chunks.sort((a, b) => a.start - b.start || a.end - b.end);
  const over = chunks.findIndex((chunk, i) => i > 0 && chunk.start < chunks[i - 1]!.end);
  if (over >= 0) throw new Error(`two columns in the same bytes, from ${chunks[over]!.start} on`);
  return chunks;
}

function count(value: unknown, what: string): number {
  const number = Number(value);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new Error(`${what}: ${value}`);
}

/** The columns that hold values, in the order of the schema's tree. */
function leavesOf(schema: readonly SchemaElement[]): Leaf[] {
  if (schema.length > MAX_SCHEMA_ELEMENTS) throw new Error(`a schema of ${schema.length} elements`);
  const leaves: Leaf[] = [];
  const walk = (at: number, path: string, definition: number, repetition: number, depth: number): number => {
    const element = schema[at];
    if (!element) throw new Error("a schema that is cut short");
    if (depth > MAX_SCHEMA_DEPTH) throw new Error(`a schema nested deeper than ${MAX_SCHEMA_DEPTH}`);
    const maxDefinition = definition + (at > 0 && element.repetition_type !== "REQUIRED" ? 1 : 0);
    const maxRepetition = repetition + (element.repetition_type === "REPEATED" ? 1 : 0);
    const here = at === 0 ? "" : path === "" ? element.name : `${path}.${element.name}`;
    const children = element.num_children ?? 0;
    if (children < 0 || children > schema.length) throw new Error(`a schema element of ${children} children`);
    if (children === 0 && at > 0) leaves.push({ path: here, element, maxDefinition, maxRepetition });
    let next = at + 1;
    for (let i = 0; i < children; i++) next = walk(next, here, maxDefinition, maxRepetition, depth + 1);
    return next;
  };
  if (walk(0, "", 0, 0, 0) !== schema.length) throw new Error("a schema with loose ends");
  if (new Set(leaves.map((leaf) => leaf.path)).size < leaves.length)
    throw new Error("two columns of one name");
  return leaves;
}
