/**
 * @file The two tables under meta/: tasks (the text is the pandas *index*, as LeRobot reads it with
 * `pd.read_parquet`) and episodes (ranges, files and statistics of every episode).
 */
import { type ColumnSource, parquetWriteBuffer } from "hyparquet-writer";
import type { Features } from "../features.js";
import { listElements, numericLeaf, STRING_LEAF, schemaOf } from "./parquet-columns.js";
import { type FeatureStats, type StatValue, statEntries } from "./stats.js";

/** The column pandas gives to an unnamed index. */
export const TASK_TEXT_COLUMN = "__index_level_0__";

/** What the episode table says of one written episode. */
export interface EpisodeRow {
  tasks: string[];
  length: number;
  dataChunk: number;
  dataFile: number;
  from: number;
  to: number;
  stats: Record<string, FeatureStats>;
}

/** The bytes of meta/tasks.parquet; a task's position is its index. */
export function tasksTable(tasks: readonly string[]): Uint8Array {
  const field = (name: string | null, fieldName: string, type: [string, string]) => ({
    name,
    field_name: fieldName,
    pandas_type: type[0],
    numpy_type: type[1],
    metadata: null,
  });
  const pandas = {
    index_columns: [TASK_TEXT_COLUMN],
    column_indexes: [
      { ...field(null, "", ["unicode", "object"]), field_name: null, metadata: { encoding: "UTF-8" } },
    ],
    columns: [
      field("task_index", "task_index", ["int64", "int64"]),
      field(null, TASK_TEXT_COLUMN, ["unicode", "object"]),
    ],
    creator: { library: "insula", version: "0" },
    pandas_version: "2.2.3",
  };
  return writeTable(
    [
      [listElements("task_index", 0, numericLeaf("int64")), tasks.map((_, i) => BigInt(i))],
      [listElements(TASK_TEXT_COLUMN, 0, STRING_LEAF), [...tasks]],
    ],
    [{ key: "pandas", value: JSON.stringify(pandas) }],
  );
}

/** The bytes of meta/episodes/chunk-000/file-000.parquet. */
export function episodesTable(episodes: readonly EpisodeRow[], features: Features): Uint8Array {
  const int = (name: string, of: (e: EpisodeRow, i: number) => number): TableColumn => [
    listElements(name, 0, numericLeaf("int64")),
    episodes.map((e, i) => BigInt(of(e, i))),
  ];
  const columns: TableColumn[] = [
    int("episode_index", (_, i) => i),
    [listElements("tasks", 1, STRING_LEAF), episodes.map((e) => e.tasks)],
    int("length", (e) => e.length),
    int("data/chunk_index", (e) => e.dataChunk),
    int("data/file_index", (e) => e.dataFile),
    int("dataset_from_index", (e) => e.from),
    int("dataset_to_index", (e) => e.to),
  ];
  for (const name of Object.keys(episodes[0]?.stats ?? {})) {
    const shape = statShape(features[name]!.dtype, features[name]!.shape);
    const rows = episodes.map((e) => Object.fromEntries(statEntries(e.stats[name]!, shape)));
    for (const stat of Object.keys(rows[0]!)) {
      const counts = stat === "count";
      columns.push([
        listElements(`stats/${name}/${stat}`, counts ? 1 : shape.length, {
          ...numericLeaf(counts ? "int64" : "float64"),
        }),
        rows.map((row) => (counts ? (row[stat] as number[]).map(BigInt) : (row[stat] as StatValue[]))),
      ]);
    }
  }
  columns.push(
    int("meta/episodes/chunk_index", () => 0),
    int("meta/episodes/file_index", () => 0),
  );
  return writeTable(columns, []);
}

/** The shape in which a feature's statistics are nested. */
export function statShape(dtype: string, shape: readonly number[]): readonly number[] {
  return dtype === "image" ? [3, 1, 1] : shape;
}

type TableColumn = [elements: ReturnType<typeof listElements>, data: unknown[]];

function writeTable(
  columns: readonly TableColumn[],
  kvMetadata: { key: string; value: string }[],
): Uint8Array {
  const columnData = columns.map(
    ([elements, data]): ColumnSource => ({ name: elements[0]!.name, data, statistics: false }),
  );
  return new Uint8Array(
    parquetWriteBuffer({ columnData, schema: schemaOf(columns.map(([e]) => e)), kvMetadata }),
  );
}
