/**
 * @file data/chunk-XXX/file-XXX.parquet, written one row group per episode: memory holds one episode, and a
 * new file begins once the current one has reached its size limit or was closed.
 */
import { type ColumnSource, fileWriter, ParquetWriter } from "hyparquet-writer";
import type { Features } from "../features.js";
import { expandTemplate } from "../paths.js";
import { featureElements, huggingfaceMetadata, inDataFiles, schemaOf } from "./parquet-columns.js";
import type { Staging } from "./staging.js";

/** Small pages, each of a few images: a reader with the page index fetches one image without its episode. */
const PAGE_BYTES = 1 << 17;

/** A file by its chunk folder and its number there. */
export interface FileLocation {
  chunk: number;
  file: number;
}

/** The `count`-th file, `chunksSize` to a chunk folder. */
export function locationOf(count: number, chunksSize: number): FileLocation {
  return { chunk: Math.floor(count / chunksSize), file: count % chunksSize };
}

export interface DataFiles {
  /** Append one episode as one row group. */
  append(columns: ColumnSource[], rows: number): Promise<FileLocation>;
  /** Write the footer of the current file; the next episode begins another. */
  close(): Promise<void>;
}

/** Write data files into `staging`, at most about `maxBytes` each, beginning with number `first`. */
export function dataFiles(
  staging: Staging,
  features: Features,
  options: { template: string; maxBytes: number; chunksSize: number; first: number },
): DataFiles {
  const { template, maxBytes, chunksSize } = options;
  const stored = inDataFiles(features);
  const schema = schemaOf(Object.entries(stored).map(([name, spec]) => featureElements(name, spec)));
  const kvMetadata = [{ key: "huggingface", value: huggingfaceMetadata(stored) }];
  let current: { writer: ParquetWriter; location: FileLocation } | undefined;
  let count = options.first;

  const begin = async (): Promise<NonNullable<typeof current>> => {
    const location = locationOf(count++, chunksSize);
    const path = expandTemplate(template, { chunk_index: location.chunk, file_index: location.file });
    const writer = fileWriter(await staging.prepare(path));
    return { location, writer: new ParquetWriter({ writer, schema, kvMetadata }) };
  };
  const close = async (): Promise<void> => {
    await current?.writer.finish();
    current = undefined;
  };
  return {
    async append(columnData, rows) {
      if (current && current.writer.writer.offset >= maxBytes) await close();
      current ??= await begin();
      await current.writer.write({ columnData, rowGroupSize: rows, pageSize: PAGE_BYTES });
      return current.location;
    },
    close,
  };
}
