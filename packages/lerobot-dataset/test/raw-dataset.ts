/**
 * @file Datasets written without the package's writer, so that anything in them can be wrong: v2.1 and v3.0, two
 * numeric features, by choice one camera in MPEG-4 part 2.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type ColumnSource, parquetWriteFile, type SchemaElement } from "hyparquet-writer";
import { encodeVideo, HEIGHT, WIDTH } from "./encode-video.js";

export interface RawEpisode {
  episode_index: number;
  task_index: number;
  state: (number | null)[][];
  actions: (number | null)[][];
  timestamp: number[];
  frame_index: number[];
  /** The column of the data file. */
  episode_column: number[];
}

export interface RawDataset {
  version: "v2.1" | "v3.0";
  fps: number;
  video: boolean;
  tasks: { task_index: number; task: unknown }[];
  episodes: RawEpisode[];
  /** Change the rows of the episode table. */
  table?(row: Record<string, unknown>): void;
  info?(info: Record<string, unknown>): void;
}

export const FPS = 10;

/** A smooth episode: state [n, 2] and actions [n, 2]. */
export function rawEpisode(episode_index: number, frames: number): RawEpisode {
  const rows = (f: (t: number) => number[]): number[][] => Array.from({ length: frames }, (_, i) => f(i));
  return {
    episode_index,
    task_index: episode_index % 2,
    state: rows((t) => [Math.fround(Math.sin(t / 8 + episode_index)), Math.fround(t / 64)]),
    actions: rows((t) => [Math.fround(Math.cos(t / 8 + episode_index)), Math.fround(1 - t / 64)]),
    timestamp: Array.from({ length: frames }, (_, i) => Math.fround(i / FPS)),
    frame_index: Array.from({ length: frames }, (_, i) => i),
    episode_column: new Array<number>(frames).fill(episode_index),
  };
}

/** A sound dataset of episodes of the given lengths, to be changed before it is written. */
export function rawDataset(
  lengths: readonly number[],
  version: RawDataset["version"] = "v2.1",
  video = false,
): RawDataset {
  return {
    version,
    fps: FPS,
    video,
    tasks: [
      { task_index: 0, task: "pick up the cup" },
      { task_index: 1, task: "put it down" },
    ],
    episodes: lengths.map((frames, e) => rawEpisode(e, frames)),
  };
}

const list = (name: string): SchemaElement[] => [
  { name, repetition_type: "OPTIONAL", num_children: 1, converted_type: "LIST" },
  { name: "list", repetition_type: "REPEATED", num_children: 1 },
  { name: "element", repetition_type: "OPTIONAL", type: "FLOAT" },
];
const column = (name: string, type: "INT64" | "FLOAT" | "DOUBLE"): SchemaElement => ({
  name,
  repetition_type: "OPTIONAL",
  type,
});
const texts = (name: string): SchemaElement[] => [
  { name, repetition_type: "OPTIONAL", num_children: 1, converted_type: "LIST" },
  { name: "list", repetition_type: "REPEATED", num_children: 1 },
  { name: "element", repetition_type: "OPTIONAL", type: "BYTE_ARRAY", converted_type: "UTF8" },
];

function writeParquet(
  filename: string,
  columnData: ColumnSource[],
  schema: SchemaElement[],
  rowGroupSize?: number,
): void {
  mkdirSync(dirname(filename), { recursive: true });
  const root: SchemaElement = { name: "root", num_children: columnData.length };
  parquetWriteFile({
    filename,
    columnData,
    schema: [root, ...schema],
    ...(rowGroupSize !== undefined && { rowGroupSize }),
  });
}

const big = (values: readonly number[]): bigint[] => values.map(BigInt);

function writeData(filename: string, episodes: readonly RawEpisode[], from: number): void {
  let index = from;
  writeParquet(
    filename,
    [
      { name: "state", data: episodes.flatMap((e) => e.state) },
      { name: "actions", data: episodes.flatMap((e) => e.actions) },
      { name: "timestamp", data: episodes.flatMap((e) => e.timestamp) },
      { name: "frame_index", data: big(episodes.flatMap((e) => e.frame_index)) },
      { name: "episode_index", data: big(episodes.flatMap((e) => e.episode_column)) },
      { name: "index", data: big(episodes.flatMap((e) => e.state.map(() => index++))) },
      { name: "task_index", data: big(episodes.flatMap((e) => e.state.map(() => e.task_index))) },
    ],
    [
      ...list("state"),
      ...list("actions"),
      column("timestamp", "FLOAT"),
      ...["frame_index", "episode_index", "index", "task_index"].map((name) => column(name, "INT64")),
    ],
    episodes[0]!.state.length,
  );
}

/** Write it. */
export function writeRaw(dir: string, dataset: RawDataset): void {
  const { version, fps, video, tasks, episodes, table, info: edit } = dataset;
  const frames = episodes.reduce((sum, e) => sum + e.state.length, 0);
  const scalar = (dtype: string) => ({ dtype, shape: [1], names: null });
  const info: Record<string, unknown> = {
    codebase_version: version,
    robot_type: "panda",
    total_episodes: episodes.length,
    total_frames: frames,
    total_tasks: tasks.length,
    fps,
    features: {
      ...(video && {
        cam: { dtype: "video", shape: [HEIGHT, WIDTH, 3], names: ["height", "width", "channel"] },
      }),
      state: { dtype: "float32", shape: [2], names: ["x", "y"] },
      actions: { dtype: "float32", shape: [2], names: ["dx", "dy"] },
      timestamp: scalar("float32"),
      frame_index: scalar("int64"),
      episode_index: scalar("int64"),
      index: scalar("int64"),
      task_index: scalar("int64"),
    },
  };
  edit?.(info);
  mkdirSync(join(dir, "meta"), { recursive: true });
  writeFileSync(join(dir, "meta/info.json"), JSON.stringify(info));
  const rows = episodes.map((e) => ({
    episode_index: e.episode_index,
    tasks: [String(tasks.find((t) => t.task_index === e.task_index)?.task ?? "")],
    length: e.state.length,
  }));
  const encode = (path: string, count: number): void => {
    mkdirSync(dirname(path), { recursive: true });
    encodeVideo(path, { codec: "mpeg4", frames: count, fps: FPS, gop: 4, bFrames: 0 });
  };
  if (version === "v2.1") {
    const lines = (values: readonly object[]): string => values.map((v) => `${JSON.stringify(v)}\n`).join("");
    for (const row of rows) table?.(row);
    writeFileSync(join(dir, "meta/episodes.jsonl"), lines(rows));
    writeFileSync(join(dir, "meta/tasks.jsonl"), lines(tasks));
    let from = 0;
    for (const episode of episodes) {
      const name = `episode_${String(episode.episode_index).padStart(6, "0")}`;
      writeData(join(dir, `data/chunk-000/${name}.parquet`), [episode], from);
      from += episode.state.length;
      if (video) encode(join(dir, `videos/chunk-000/cam/${name}.mp4`), episode.state.length);
    }
    return;
  }
  let from = 0;
  const wide: Record<string, unknown>[] = rows.map((row) => {
    const begin = from;
    from += row.length;
    return {
      ...row,
      "data/chunk_index": 0,
      "data/file_index": 0,
      dataset_from_index: begin,
      dataset_to_index: from,
      ...(video && {
        "videos/cam/chunk_index": 0,
        "videos/cam/file_index": 0,
        "videos/cam/from_timestamp": begin / FPS,
        "videos/cam/to_timestamp": from / FPS,
      }),
    };
  });
  for (const row of wide) table?.(row);
  const names = Object.keys(wide[0]!);
  writeParquet(
    join(dir, "meta/episodes/chunk-000/file-000.parquet"),
    names.map((name) => ({
      name,
      data: wide.map((row) =>
        typeof row[name] === "number" && !name.endsWith("timestamp") ? BigInt(row[name]) : row[name],
      ),
    })),
    names.flatMap((name) =>
      name === "tasks" ? texts(name) : [column(name, name.endsWith("timestamp") ? "DOUBLE" : "INT64")],
    ),
  );
  writeParquet(
    join(dir, "meta/tasks.parquet"),
    [
      { name: "task_index", data: tasks.map((t) => BigInt(t.task_index)) },
      { name: "task", data: tasks.map((t) => String(t.task)) },
    ],
    [
      column("task_index", "INT64"),
      { name: "task", repetition_type: "OPTIONAL", type: "BYTE_ARRAY", converted_type: "UTF8" },
    ],
  );
  writeData(join(dir, "data/chunk-000/file-000.parquet"), episodes, 0);
  if (video) encode(join(dir, "videos/cam/chunk-000/file-000.mp4"), frames);
}
