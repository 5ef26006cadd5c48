/**
 * @file Parquet files through hyparquet: positional reads on one file handle, row group by row group, with
 * errors that name the file. `utf8: false` keeps image bytes as bytes (text columns are still strings). Files come
 * from anywhere, so footer and pages are checked (parquet/) before hyparquet allocates what they ask for.
 */
import { type FileHandle, open } from "node:fs/promises";
import { InsulaError } from "@insula/model-types";
import { type AsyncBuffer, type ColumnData, type FileMetaData, parquetRead } from "hyparquet";
import { CODECS } from "./parquet/codecs.js";
import { type FileMap, readFooter } from "./parquet/footer.js";
import { guarded } from "./parquet/guard.js";

export interface ParquetFile {
  readonly path: string;
  /** Its size. */
  readonly bytes: number;
  readonly rows: number;
  /** Names of the top-level columns. */
  readonly columns: readonly string[];
  /** First row of every row group, and the number of rows at the end. */
  readonly groups: readonly number[];
  /** Whether single pages of `column` can be read without the rest of their row group. */
  hasPageIndex(column: string): boolean;
  /** Rows `[begin, end)` of `columns`; each chunk arrives with the row it starts at, possibly beyond the range. */
  read(columns: readonly string[], begin: number, end: number, onChunk: ChunkHandler): Promise<void>;
  close(): Promise<void>;
}

export type ChunkHandler = (column: string, values: ArrayLike<unknown>, firstRow: number) => void;

/**
 * Open `path`, reading its footer only.
 * @throws InsulaError `dataset/missing-file`, `dataset/parquet` when it is truncated or not parquet.
 */
export async function openParquet(path: string): Promise<ParquetFile> {
  const handle = await open(path, "r").catch((cause: unknown) => {
    throw new InsulaError(
      "dataset/missing-file",
      `${path}: the dataset names this file, but it cannot be opened`,
      {
        cause,
      },
    );
  });
  const broken = (cause: unknown): never => {
    if (cause instanceof InsulaError) throw cause;
    throw new InsulaError(
      "dataset/parquet",
      `${path}: not a complete parquet file (${(cause as Error).message}); copy or download it again`,
      { cause },
    );
  };
  try {
    const file = asyncBuffer(handle, (await handle.stat()).size);
    const { metadata, map } = await readFooter(file);
    return parquetFile(path, handle, file, metadata, map, broken);
  } catch (cause) {
    await handle.close();
    return broken(cause);
  }
}

function parquetFile(
  path: string,
  handle: FileHandle,
  file: AsyncBuffer,
  metadata: FileMetaData,
  map: FileMap,
  broken: (cause: unknown) => never,
): ParquetFile {
  const groups = [0];
  for (const group of metadata.row_groups) groups.push(groups.at(-1)! + Number(group.num_rows));
  return {
    path,
    bytes: file.byteLength,
    rows: groups.at(-1)!,
    columns: topLevelColumns(metadata),
    groups,
    hasPageIndex: (column) =>
      metadata.row_groups.every((group) =>
        group.columns.every(
          (c) => c.meta_data?.path_in_schema[0] !== column || c.offset_index_offset !== undefined,
        ),
      ),
    async read(columns, begin, end, onChunk) {
      // Collected first: an error thrown inside hyparquet's callback would be lost.
      const read: ColumnData[] = [];
      await parquetRead({
        file: guarded(file, map, new Set(columns)),
        metadata,
        columns: [...columns],
        rowStart: begin,
        rowEnd: end,
        compressors: CODECS,
        utf8: false,
        useOffsetIndex: true,
        onChunk: (chunk) => read.push(chunk),
      })
        .then(() => checkRows(read, columns, begin, end, groups.at(-1)!))
        .catch(broken);
      for (const { columnName, columnData, rowStart } of read) onChunk(columnName, columnData, rowStart);
    },
    close: () => handle.close(),
  };
}

/** Every column has to have arrived, all its rows, each once. */
function checkRows(
  read: readonly ColumnData[],
  columns: readonly string[],
  begin: number,
  end: number,
  rows: number,
): void {
  for (const column of columns) {
    const parts = read.filter((part) => part.columnName === column).sort((a, b) => a.rowStart - b.rowStart);
    let next = begin;
    for (const { rowStart, columnData } of parts) {
      if (rowStart > next || rowStart + columnData.length > rows) {
        throw new Error(`${column}: pages of other rows than expected, at row ${rowStart}`);
      }
      next = Math.max(next, rowStart + columnData.length);
    }
    if (next < end) throw new Error(`${column}: expected rows up to ${end}, found ${next}`);
  }
}

function topLevelColumns(metadata: FileMetaData): string[] {
  const names: string[] = [];
  const skip = (at: number): number => {
    let next = at + 1;
    for (let i = 0; i < (metadata.schema[at]!.num_children ?? 0); i++) next = skip(next);
    return next;
  };
  for (let at = 1; at < metadata.schema.length; at = skip(at)) names.push(metadata.schema[at]!.name);
  return names;
}

function asyncBuffer(handle: FileHandle, byteLength: number): AsyncBuffer {
  return {
    byteLength,
    async slice(start, end = byteLength) {
      const begin = start < 0 ? Math.max(0, byteLength + start) : start;
      const bytes = new Uint8Array(Math.max(0, Math.min(end, byteLength) - begin));
      let done = 0;
      while (done < bytes.length) {
        const { bytesRead } = await handle.read(
          bytes,
          done,
          Math.min(bytes.length - done, 1 << 30),
          begin + done,
        );
        if (bytesRead === 0) throw new Error(`cut short at byte ${begin + done}`);
        done += bytesRead;
      }
      return bytes.buffer;
    },
  };
}
