/** @file Row blocks through hyparquet: one row group at a time. */
import { InsulaError, sizeOf } from "@insula/model-types";
import { copyCell, shapeOfCell } from "../read/cells.js";
import { openParquet } from "../read/parquet.js";
import { checkRowCount, type RowBlock, type RowReader } from "./rows.js";

/** Needs no native code; a row group's values are boxed while it is read. */
export const hyparquetRows: RowReader = async function* (files, names) {
  for (const file of files) {
    const parquet = await openParquet(file.path);
    try {
      checkRowCount(file, parquet.rows);
      const missing = names.find((name) => !parquet.columns.includes(name));
      if (missing !== undefined) {
        throw new InsulaError(
          "dataset/missing-key",
          `${file.path}: meta/info.json names '${missing}', but the file has only ${parquet.columns.join(", ")}`,
        );
      }
      for (let g = 0; g + 1 < parquet.groups.length; g++) {
        const [begin, end] = [parquet.groups[g]!, parquet.groups[g + 1]!];
        if (file.wants(begin, end)) yield await readGroup(parquet, names, begin, end);
        else yield { rows: end - begin, copy: () => undefined };
      }
    } finally {
      await parquet.close();
    }
  }
};

async function readGroup(
  parquet: Awaited<ReturnType<typeof openParquet>>,
  names: readonly string[],
  begin: number,
  end: number,
): Promise<RowBlock> {
  const cells = names.map(() => new Array<unknown>(end - begin));
  await parquet.read(names, begin, end, (name, values, firstRow) => {
    const column = cells[names.indexOf(name)]!;
    for (let i = 0; i < values.length; i++) column[firstRow - begin + i] = values[i];
  });
  return {
    rows: end - begin,
    copy(column, row, n, dims, data, at) {
      const dim = sizeOf(dims);
      for (let i = 0; i < n; i++) {
        const cell = cells[column]![row + i];
        const kind = copyCell(cell, dims, 0, data, at + i * dim);
        if (!kind) continue;
        const found = kind === "type" ? typeof cell : shapeOfCell(cell).join(", ");
        return { row: row + i, kind, found };
      }
      return undefined;
    },
  } satisfies RowBlock;
}
