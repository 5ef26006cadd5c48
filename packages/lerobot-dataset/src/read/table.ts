/** @file Small parquet tables (tasks, episodes) as rows. */
import { InsulaError } from "@insula/model-types";
import { openParquet } from "./parquet.js";

/** Rows of a table that is smaller than that many bytes. */
const ROWS_IN_ANY_TABLE = 1 << 16;

/** All rows of `path`, with the given columns. @throws InsulaError `dataset/missing-key` naming absent columns. */
export async function readTable(
  path: string,
  columns?: readonly string[],
): Promise<Record<string, unknown>[]> {
  const file = await openParquet(path);
  try {
    const wanted = columns ?? file.columns;
    const missing = wanted.filter((name) => !file.columns.includes(name));
    if (missing.length > 0) {
      throw new InsulaError(
        "dataset/missing-key",
        `${path}: no column ${missing.map((m) => `'${m}'`).join(", ")}`,
      );
    }
    if (file.rows > ROWS_IN_ANY_TABLE + file.bytes) {
      throw new InsulaError("dataset/parquet", `${path}: ${file.rows} rows in ${file.bytes} bytes`);
    }
    const rows: Record<string, unknown>[] = Array.from({ length: file.rows }, () => ({}));
    await file.read(wanted, 0, file.rows, (column, values, firstRow) => {
      for (let i = 0; i < values.length; i++) rows[firstRow + i]![column] = values[i];
    });
    return rows;
  } finally {
    await file.close();
  }
}
