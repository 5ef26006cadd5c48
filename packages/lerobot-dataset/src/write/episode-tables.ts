/** @file The episode tables of an existing dataset as a writer needs them: every column, with its schema. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { InsulaError } from "@insula/model-types";
import { asyncBufferFromFile, parquetMetadataAsync, type SchemaElement } from "hyparquet";
import type { DatasetRoot } from "../read/root.js";
import { readTable } from "../read/table.js";
import type { ColumnElements, TableRow } from "./table-file.js";

/** One file of meta/episodes. */
export interface EpisodeTable {
  /** Relative to the dataset. */
  path: string;
  rows: readonly TableRow[];
}

/** All files of meta/episodes, in the order of their names, and the columns of the first. */
export interface EpisodeTables {
  tables: readonly EpisodeTable[];
  columns: readonly ColumnElements[];
}

/** Read meta/episodes. @throws InsulaError `dataset/missing-file` when there is none. */
export async function readEpisodeTables(root: DatasetRoot): Promise<EpisodeTables> {
  const folder = join(root.path, "meta", "episodes");
  const found = await readdir(folder, { recursive: true });
  const paths = found
    .filter((name) => name.endsWith(".parquet"))
    .sort()
    .map((name) => join("meta", "episodes", name));
  if (!paths[0]) throw new InsulaError("dataset/missing-file", `${folder}: no episode table`);
  const tables: EpisodeTable[] = [];
  for (const path of paths) tables.push({ path, rows: await readTable(await root.file(path)) });
  const { schema } = await parquetMetadataAsync(await asyncBufferFromFile(await root.file(paths[0])));
  return { tables, columns: columnsOf(schema) };
}

/** The elements of each column below the root, `children` being counted depth first. */
function columnsOf(schema: readonly SchemaElement[]): ColumnElements[] {
  const columns: SchemaElement[][] = [];
  const end = (at: number): number => {
    let next = at + 1;
    for (let i = 0; i < (schema[at]?.num_children ?? 0); i++) next = end(next);
    return next;
  };
  for (let at = 1; at < schema.length; at = end(at)) {
    columns.push(schema.slice(at, end(at)).map(({ field_id: _, ...element }) => element));
  }
  return columns;
}
