/** @file The encoded images of an episode, as they are in its data file. */
import { InsulaError } from "@insula/model-types";
import { openParquet } from "../read/parquet.js";

/** Rows `[row, row + count)` of the image column `name`. @throws InsulaError `dataset/image`, `dataset/parquet` */
export async function encodedCells(
  path: string,
  name: string,
  row: number,
  count: number,
): Promise<Uint8Array[]> {
  const cells = new Array<Uint8Array | undefined>(count);
  const file = await openParquet(path);
  try {
    await file.read([name], row, row + count, (_, values, firstRow) => {
      for (let i = 0; i < values.length; i++) {
        const at = firstRow + i - row;
        const bytes = (values[i] as { bytes?: unknown } | null)?.bytes;
        if (at >= 0 && at < count && bytes instanceof Uint8Array) cells[at] = bytes;
      }
    });
  } finally {
    await file.close();
  }
  return cells.map((bytes, i) => {
    if (bytes) return bytes;
    throw new InsulaError("dataset/image", `${path}: ${name}, row ${row + i}: no image bytes in this cell`);
  });
}
