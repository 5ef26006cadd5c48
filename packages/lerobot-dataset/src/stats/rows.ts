/**
 * @file What the readers of row blocks share: a list of data files is one long table, read front to back in blocks
 * that are copied into the caller's arrays. One reader uses DuckDB, one hyparquet; both give the same numbers.
 */
import { InsulaError, type TypedArray } from "@insula/model-types";
import type { CellProblem } from "../read/cells.js";
import type { Episode } from "../read/episodes.js";

/** A data file and the episodes whose rows it holds, in the order of their rows. */
export interface DataFile {
  /** To open. */
  readonly path: string;
  readonly rows: number;
  readonly episodes: readonly Episode[];
  /** Whether any of the rows `[begin, end)` is wanted. What is not need not be decoded. */
  wants(begin: number, end: number): boolean;
}

/** Rows that have been read and not copied yet. Rows that nobody wants may have no cells. */
export interface RowBlock {
  readonly rows: number;
  /**
   * Copy rows `[row, row + n)` of column `column` to `data[at…]`, whose cells have the shape `dims`; the first problem,
   * if any.
   */
  copy(
    column: number,
    row: number,
    n: number,
    dims: readonly number[],
    data: TypedArray,
    at: number,
  ): RowProblem | undefined;
}

/** A row with a bad cell, and what the cell looks like. */
export interface RowProblem {
  row: number;
  kind: CellProblem;
  /** The lengths of its lists, or its type. */
  found: string;
}

/** Reads the columns `names` of `files`, in order. Memory: a few blocks, whatever the size of the files. */
export type RowReader = (
  files: readonly DataFile[],
  names: readonly string[],
) => AsyncGenerator<RowBlock, void, undefined>;

/** @throws InsulaError `dataset/counts` when a file has not the rows that the episode table says. */
export function checkRowCount({ path, rows, episodes }: DataFile, found: number): void {
  if (found === rows) return;
  const [first, last] = [episodes[0]!.index, episodes.at(-1)!.index];
  throw new InsulaError(
    "dataset/counts",
    `${path}: expected ${rows} rows (episodes ${first} to ${last}), found ${found}`,
  );
}
