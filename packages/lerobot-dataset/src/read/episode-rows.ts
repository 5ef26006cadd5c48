/** @file The numbers of one episode, without reading the others. */
import { sizeOf } from "@insula/model-types";
import type { Features } from "../features.js";
import { copyCell } from "./cells.js";
import type { Episode } from "./episodes.js";
import { openParquet } from "./parquet.js";
import type { DatasetRoot } from "./root.js";

/**
 * Features of one episode by name, each `[length, ...shape]` flat. Cells that are missing or misshapen are NaN; a
 * feature whose column is not in the file is absent.
 * @throws InsulaError `dataset/missing-file`, `dataset/parquet`.
 */
export async function readEpisodeRows(
  root: DatasetRoot,
  features: Features,
  { data, length }: Episode,
  names: readonly string[],
): Promise<Map<string, Float64Array>> {
  const file = await openParquet(await root.file(data.path));
  try {
    const there = names.filter((name) => file.columns.includes(name) && name in features);
    const rows = new Map(
      there.map((name) => [name, new Float64Array(length * sizeOf(features[name]!.shape)).fill(Number.NaN)]),
    );
    const end = Math.min(file.rows, data.row + length);
    await file.read(there, data.row, end, (name, values, firstRow) => {
      const { shape } = features[name]!;
      const size = sizeOf(shape);
      for (let i = 0; i < values.length; i++) {
        const row = firstRow + i - data.row;
        if (row >= 0 && row < length) copyCell(values[i], shape, 0, rows.get(name)!, row * size);
      }
    });
    return rows;
  } finally {
    await file.close();
  }
}
