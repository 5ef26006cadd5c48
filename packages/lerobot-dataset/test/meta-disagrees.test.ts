/** @file Metadata that disagree with the data, or with themselves: an error that names what, never other data. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InsulaError } from "@insula/model-types";
import { describe, expect, test } from "vitest";
import { openLeRobotDataset } from "../src/index.js";
import { tempFolder } from "./fixtures.js";
import { type RawDataset, rawDataset, writeRaw } from "./raw-dataset.js";

const folder = tempFolder();
let copies = 0;

type Change = (raw: RawDataset) => void;
type Version = RawDataset["version"];

async function readAll(
  change: Change,
  version: Version,
  file?: [string, (text: string) => string],
): Promise<void> {
  const raw = rawDataset([6, 4, 5], version, true);
  change(raw);
  const dir = join(folder, `d${copies++}`);
  writeRaw(dir, raw);
  if (file) {
    const path = join(dir, file[0]);
    writeFileSync(path, file[1](readFileSync(path, "utf8")));
  }
  const dataset = await openLeRobotDataset(dir);
  try {
    for (let index = 0; index < dataset.totalFrames; index++) await dataset.sample(index);
  } finally {
    await dataset.close();
  }
}

const infoOf =
  (edit: (info: Record<string, unknown>) => void): Change =>
  (raw) =>
    void (raw.info = edit);
const row =
  (episode: number, edit: Record<string, unknown>): Change =>
  (raw) =>
    void (raw.table = (fields) => fields["episode_index"] === episode && Object.assign(fields, edit));
const nothing: Change = () => undefined;
/** Change the text of info.json: for numbers that JSON.stringify would not write. */
const infoText = (from: string, to: string): [string, (text: string) => string] => [
  "meta/info.json",
  (text) => {
    expect(text).toContain(from);
    return text.replace(from, to);
  },
];

const both: Version[] = ["v2.1", "v3.0"];
const cases: [string, Version[], Change, string, string, [string, (text: string) => string]?][] = [
  ["nothing wrong", both, nothing, "", ""],
  ["an episode longer than its rows", both, row(1, { length: 5 }), "dataset/counts", "total_frames 15"],
  [
    "lengths that add up, of other episodes",
    ["v3.0"],
    (raw) =>
      void (raw.table = (fields) => {
        if (fields["episode_index"] === 0) fields["length"] = 5;
        if (fields["episode_index"] === 1) fields["length"] = 5;
      }),
    "dataset/counts",
    "row 5: expected ",
  ],
  [
    "lengths that add up, in files of their own",
    ["v2.1"],
    (raw) =>
      void (raw.table = (fields) => {
        if (fields["episode_index"] === 0) fields["length"] = 5;
        if (fields["episode_index"] === 1) fields["length"] = 5;
      }),
    "dataset/counts",
    "episode_000000.parquet: expected 5 rows (episodes 0 to 0), found 6",
  ],
  [
    "rows in another order than the episodes",
    ["v3.0"],
    ({ episodes }) => {
      episodes[1]!.episode_column.fill(2);
      episodes[2]!.episode_column.fill(1);
    },
    "dataset/counts",
    "row 6: expected episode_index 1 by the episode table, found 2",
  ],
  [
    "rows out of order",
    both,
    ({ episodes }) => void episodes[0]!.frame_index.reverse(),
    "dataset/counts",
    "row 0: expected frame_index 0 by the episode table, found 5",
  ],
  [
    "an episode twice",
    both,
    row(2, { episode_index: 1 }),
    "dataset/episodes",
    "episode 1 is in the episode table twice",
  ],
  [
    "a negative episode",
    both,
    row(2, { episode_index: -1 }),
    "dataset/episodes",
    "expected a whole number from 0, found -1",
  ],
  [
    "no frames",
    both,
    row(2, { length: 0 }),
    "dataset/episodes",
    "episode 2: length: expected a whole number from 1, found 0",
  ],
  ["a length that is a text", ["v2.1"], row(2, { length: "5" }), "dataset/episodes", "found 5"],
  [
    "tasks that are numbers",
    ["v2.1"],
    row(2, { tasks: [3] }),
    "dataset/episodes",
    "episode 2: tasks: expected a list of texts",
  ],
  ["a negative file", ["v3.0"], row(1, { "data/file_index": -1 }), "dataset/episodes", "data/file_index"],
  [
    "a beginning that is no number",
    ["v3.0"],
    row(1, { "videos/cam/from_timestamp": Number.NaN }),
    "dataset/episodes",
    "episode 1: videos/cam/from_timestamp: expected seconds, found NaN",
  ],
  [
    "a beginning before the video",
    ["v3.0"],
    row(1, { "videos/cam/from_timestamp": -0.5 }),
    "dataset/episodes",
    "found -0.5",
  ],
  [
    "a beginning behind the video",
    ["v3.0"],
    row(2, { "videos/cam/from_timestamp": 77 }),
    "dataset/video-frame",
    "no frame within 0.0001 s of 77.000000 s",
  ],
  [
    "timestamps off the grid",
    both,
    ({ episodes }) => void (episodes[1]!.timestamp[2] = 0.25),
    "dataset/video-frame",
    "no frame within 0.0001 s of ",
  ],
  [
    "other features than columns",
    both,
    infoOf((info) => Object.assign(info["features"] as object, { state: { dtype: "float32", shape: [3] } })),
    "dataset/shape",
    "state: expected [*, 3], found [.., 2] in episode 0",
  ],
  [
    "text where numbers are expected",
    both,
    infoOf((info) => Object.assign(info["features"] as object, { state: { dtype: "int64", shape: [2] } })),
    "dataset/dtype",
    "state: expected numbers, found others in episode 0",
  ],
  ["wrong totals", both, infoOf((info) => (info["total_frames"] = 14)), "dataset/counts", "total_frames 14"],
  [
    "no fps",
    both,
    infoOf((info) => (info["fps"] = 0)),
    "dataset/info",
    "fps: expected frames per second, found 0",
  ],
  ["fps that is NaN", both, nothing, "dataset/info", "is not JSON", infoText('"fps":10', '"fps":NaN')],
  [
    "fps that is infinite",
    both,
    nothing,
    "dataset/info",
    "fps: expected frames per second",
    infoText('"fps":10', '"fps":1e999'),
  ],
  [
    "10^12 frames, in both places",
    both,
    (raw) => {
      row(2, { length: 1e12 })(raw);
      infoOf((info) => (info["total_frames"] = 1e12 + 10))(raw);
    },
    "dataset/counts",
    "rows, found a file of",
  ],
  [
    "10^9 numbers per frame",
    both,
    infoOf((info) =>
      Object.assign(info["features"] as object, { state: { dtype: "float32", shape: [1e5, 1e4] } }),
    ),
    "dataset/info",
    "features.state.shape",
  ],
  [
    "a name of 10^9 characters",
    both,
    infoOf(
      (info) => (info["data_path"] = "data/{episode_index:0999999999d}{file_index:0999999999d}.parquet"),
    ),
    "dataset/missing-file",
    "{episode_index",
  ],
  [
    "a feature that would become a prototype",
    both,
    nothing,
    "dataset/info",
    "a feature may not be called __proto__",
    infoText('"state":', '"__proto__":'),
  ],
  [
    "a task that is not in the table",
    both,
    ({ episodes }) => void (episodes[1]!.task_index = 7),
    "dataset/missing-key",
    "task_index 7",
  ],
  [
    "a task twice",
    both,
    ({ tasks }) => void (tasks[1]!.task_index = 0),
    "dataset/tasks",
    "task 0 is there twice",
  ],
  [
    "a task of no text",
    ["v2.1"],
    ({ tasks }) => void (tasks[1]!.task = null),
    "dataset/tasks",
    "task 1: expected a text",
  ],
  [
    "lines that are no objects",
    ["v2.1"],
    nothing,
    "dataset/json",
    "episodes.jsonl:2: expected an object",
    ["meta/episodes.jsonl", (text) => text.replace(/\n.*\n/, "\n[1]\n")],
  ],
];

describe.each(cases)("%s", (_, versions, change, code, message, file) => {
  test.each(versions)("%s", async (version) => {
    const error = await readAll(change, version, file).catch((e: unknown) => e);
    if (code === "") return expect(error).toBeUndefined();
    expect(error).toBeInstanceOf(InsulaError);
    expect((error as InsulaError).message).toContain(message);
    expect((error as InsulaError).code).toBe(code);
    expect((error as InsulaError).message).toContain(
      code === "dataset/dtype" || code === "dataset/shape" ? "state" : folder,
    );
  });
});
