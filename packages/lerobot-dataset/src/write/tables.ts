/**
 * @file The two tables under meta/: tasks (the text is the pandas *index*, as LeRobot reads it with
 * `pd.read_parquet`) and episodes (ranges, files and statistics of every episode).
 */
import { type Features, isCamera } from "../features.js";
import type { FileLocation } from "./data-files.js";
import { listElements, numericLeaf, STRING_LEAF } from "./parquet-columns.js";
import { type FeatureStats, statEntries } from "./stats.js";
import { type ColumnElements, type TableRow, tableBytes } from "./table-file.js";

/** The column pandas gives to an unnamed index. */
export const TASK_TEXT_COLUMN = "__index_level_0__";

/** Where one camera's frames of an episode lie: seconds into an mp4. */
export interface VideoSegment extends FileLocation {
  from: number;
  to: number;
}

/** What the episode table says of one written episode. */
export interface WrittenEpisode {
  index: number;
  tasks: readonly string[];
  length: number;
  data: FileLocation;
  /** Frames `[from, to)` of the dataset. */
  from: number;
  to: number;
  videos: Readonly<Record<string, VideoSegment>>;
  stats: Readonly<Record<string, FeatureStats>>;
}

/** The bytes of meta/tasks.parquet. */
export function tasksTable(tasks: ReadonlyMap<string, number>): Uint8Array {
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
  return tableBytes(
    [listElements("task_index", 0, numericLeaf("int64")), listElements(TASK_TEXT_COLUMN, 0, STRING_LEAF)],
    [...tasks].map(([text, index]) => ({ task_index: index, [TASK_TEXT_COLUMN]: text })),
    [{ key: "pandas", value: JSON.stringify(pandas) }],
  );
}

/** The columns of the episode table of a dataset with these features, in LeRobot's order. */
export function episodeColumns(features: Features, shapes: StatShapes): ColumnElements[] {
  const int = (name: string): ColumnElements => listElements(name, 0, numericLeaf("int64"));
  const float = (name: string): ColumnElements => listElements(name, 0, numericLeaf("float64"));
  const columns = [
    int("episode_index"),
    listElements("tasks", 1, STRING_LEAF),
    int("length"),
    int("data/chunk_index"),
    int("data/file_index"),
    int("dataset_from_index"),
    int("dataset_to_index"),
  ];
  for (const [name, { dtype }] of Object.entries(features)) {
    if (dtype !== "video") continue;
    const of = `videos/${name}`;
    columns.push(int(`${of}/chunk_index`), int(`${of}/file_index`));
    columns.push(float(`${of}/from_timestamp`), float(`${of}/to_timestamp`));
  }
  for (const [name, { length: depth }] of Object.entries(shapes)) {
    for (const stat of ["min", "max", "mean", "std", "q01", "q10", "q50", "q90", "q99"])
      columns.push(listElements(`stats/${name}/${stat}`, depth, numericLeaf("float64")));
    columns.push(listElements(`stats/${name}/count`, 1, numericLeaf("int64")));
  }
  columns.push(int("meta/episodes/chunk_index"), int("meta/episodes/file_index"));
  return columns;
}

/** One row of the episode table, which lies in the file `at`. */
export function episodeTableRow(episode: WrittenEpisode, shapes: StatShapes, at: FileLocation): TableRow {
  const row: Record<string, unknown> = {
    episode_index: episode.index,
    tasks: episode.tasks,
    length: episode.length,
    "data/chunk_index": episode.data.chunk,
    "data/file_index": episode.data.file,
    dataset_from_index: episode.from,
    dataset_to_index: episode.to,
    "meta/episodes/chunk_index": at.chunk,
    "meta/episodes/file_index": at.file,
  };
  for (const [name, { chunk, file, from, to }] of Object.entries(episode.videos)) {
    row[`videos/${name}/chunk_index`] = chunk;
    row[`videos/${name}/file_index`] = file;
    row[`videos/${name}/from_timestamp`] = from;
    row[`videos/${name}/to_timestamp`] = to;
  }
  for (const [name, stats] of Object.entries(episode.stats)) {
    for (const [stat, value] of statEntries(stats, shapes[name]!)) row[`stats/${name}/${stat}`] = value;
  }
  return row;
}

/** By feature, the shape in which its statistics are nested. */
export type StatShapes = Readonly<Record<string, readonly number[]>>;

/** Statistics are shaped like the feature, `[channels, 1, 1]` for cameras; texts have none. */
export function statShapes(features: Features): StatShapes {
  const entries = Object.entries(features).flatMap(([name, { dtype, shape }]) => {
    if (dtype === "string") return [];
    if (isCamera(features[name]!)) return [[name, [3, 1, 1]] as const];
    return [[name, shape.length === 0 ? [1] : shape] as const];
  });
  return Object.fromEntries(entries);
}
