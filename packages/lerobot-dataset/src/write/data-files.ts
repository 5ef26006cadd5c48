/**
 * @file data/chunk-XXX/file-XXX.parquet, written one row group per episode: memory holds one episode, and a
 * new file begins once the current one has reached its size limit.
 */
import { mkdirSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type ColumnSource, fileWriter, ParquetWriter } from "hyparquet-writer";
import type { Features } from "../features.js";
import { DATA_PATH_V3, expandTemplate } from "../paths.js";
import { featureElements, huggingfaceMetadata, schemaOf } from "./parquet-columns.js";

/** Small pages, each of a few images: a reader with the page index fetches one image without its episode. */
const PAGE_BYTES = 1 << 17;

/** Where an episode's rows went. */
export interface DataLocation {
  chunk: number;
  file: number;
}

export interface DataFiles {
  /** Append one episode as one row group. */
  append(columns: ColumnSource[], rows: number): Promise<DataLocation>;
  /** Write the last footer and flush everything to disk. */
  close(): Promise<void>;
}

/** Write data files under `root`, at most about `maxBytes` each, `chunksSize` files per chunk folder. */
export function dataFiles(
  root: string,
  features: Features,
  { maxBytes, chunksSize }: { maxBytes: number; chunksSize: number },
): DataFiles {
  const schema = schemaOf(Object.entries(features).map(([name, spec]) => featureElements(name, spec)));
  const kvMetadata = [{ key: "huggingface", value: huggingfaceMetadata(features) }];
  let current: { writer: ParquetWriter; path: string } | undefined;
  let count = 0;

  const begin = (): { writer: ParquetWriter; path: string } => {
    const at = { chunk_index: Math.floor(count / chunksSize), file_index: count % chunksSize };
    const path = join(root, expandTemplate(DATA_PATH_V3, at));
    mkdirSync(dirname(path), { recursive: true });
    count++;
    return { path, writer: new ParquetWriter({ writer: fileWriter(path), schema, kvMetadata }) };
  };
  const end = async (): Promise<void> => {
    if (!current) return;
    await current.writer.finish();
    await syncFile(current.path);
    current = undefined;
  };
  return {
    async append(columnData, rows) {
      if (current && current.writer.writer.offset >= maxBytes) await end();
      current ??= begin();
      await current.writer.write({ columnData, rowGroupSize: rows, pageSize: PAGE_BYTES });
      return { chunk: Math.floor((count - 1) / chunksSize), file: (count - 1) % chunksSize };
    },
    close: end,
  };
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
