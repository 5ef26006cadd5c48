/** @file A broken copy per kind of problem: validation names file, episode and row, and finds nothing in a sound one. */
import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeShared, sharedPath } from "@insula/test-kit";
import { describe, expect, test } from "vitest";
import { problemLine, type ValidateOptions, validateLeRobotDataset } from "../src/index.js";
import { stepSizes } from "../src/validate/jumps.js";
import { encodeVideo } from "./encode-video.js";
import { tempFolder, writeTiny } from "./fixtures.js";
import { type RawDataset, rawDataset, writeRaw } from "./raw-dataset.js";

const folder = tempFolder();
let copies = 0;

async function problems(dir: string, options: ValidateOptions = {}): Promise<string[]> {
  const lines: string[] = [];
  for await (const problem of validateLeRobotDataset(dir, options)) lines.push(problemLine(problem));
  return lines;
}

/** A dataset of three episodes of 12 rows, changed before or after it is written. */
function broken(change: {
  raw?: (raw: RawDataset) => void;
  files?: (dir: string) => void;
  version?: "v2.1" | "v3.0";
  video?: boolean;
}): string {
  const raw = rawDataset([12, 12, 12], change.version, change.video);
  change.raw?.(raw);
  const dir = join(folder, `d${copies++}`);
  writeRaw(dir, raw);
  change.files?.(dir);
  return dir;
}

const E1 = "data/chunk-000/episode_000001.parquet";
const V1 = "videos/chunk-000/cam/episode_000001.mp4";

test.each(["v2.1", "v3.0"] as const)("a sound %s dataset has none", async (version) => {
  expect(await problems(broken({ version, video: true }), { decode: true })).toEqual([]);
});

test("a dataset of this package's writer has none but its empty task", async () => {
  await writeTiny(join(folder, "tiny"), [5, 3, 7]);
  expect(await problems(join(folder, "tiny"), { decode: true })).toEqual([
    "meta/tasks.parquet: task 1 is empty",
    "data/chunk-000/file-000.parquet: episode 1, row 0: its task (1) is empty",
  ]);
});

const cases: Record<string, [Parameters<typeof broken>[0], string[]]> = {
  "NaN and infinity, by the number's name": [
    {
      raw: ({ episodes }) => {
        episodes[1]!.state[4]![1] = Number.NaN;
        episodes[1]!.actions[7]![0] = Number.POSITIVE_INFINITY;
      },
    },
    [`${E1}: episode 1, row 4: state[1] (y): NaN`, `${E1}: episode 1, row 7: actions[0] (dx): Infinity`],
  ],
  null: [
    { raw: ({ episodes }) => void (episodes[1]!.state[3]![0] = null) },
    [`${E1}: episode 1, row 3: state: no value`],
  ],
  "wrong shapes": [
    { raw: ({ episodes }) => void episodes[1]!.state[5]!.push(7) },
    [`${E1}: episode 1, row 5: state: expected [2], found [3]`],
  ],
  "timestamps off the grid": [
    { raw: ({ episodes }) => void (episodes[1]!.timestamp[6] = 0.63) },
    [
      `${E1}: episode 1, row 6: timestamp: expected 0.6000 s after the row before at 10 fps, found 0.6300 s`,
      `${E1}: episode 1, row 7: timestamp: expected 0.7300 s after the row before at 10 fps, found 0.7000 s`,
    ],
  ],
  "frames out of order": [
    { raw: ({ episodes }) => void episodes[1]!.frame_index.splice(4, 2, 5, 4) },
    [
      `${E1}: episode 1, row 4: frame_index: expected 4, found 5`,
      `${E1}: episode 1, row 5: frame_index: expected 5, found 4`,
    ],
  ],
  "rows of another episode": [
    { version: "v3.0", raw: ({ episodes }) => void (episodes[1]!.episode_column[11] = 2) },
    ["data/chunk-000/file-000.parquet: episode 1, row 11: episode_index: expected 1, found 2"],
  ],
  "an action jump": [
    {
      raw: ({ episodes }) => {
        for (const row of episodes[1]!.actions.slice(6)) row[1] = row[1]! + 40;
      },
    },
    [`${E1}: episode 1, row 6: actions[1] (dy): jumps from 0.9219 to 40.91, `],
  ],
  "rows missing in a file": [
    {
      raw: (raw) => {
        raw.table = (row) => row["episode_index"] === 1 && (row["length"] = 14);
        raw.info = (info) => (info["total_frames"] = 38);
      },
    },
    [
      `${E1}: expected 14 rows for episode 1, found 12`,
      "data/chunk-000/episode_000002.parquet: episode 2, row 0: index: expected 26, found 24",
    ],
  ],
  "counts that disagree": [
    {
      raw: (raw) =>
        (raw.info = (info) => Object.assign(info, { total_frames: 40, total_episodes: 4, total_tasks: 3 })),
    },
    [
      "meta/episodes.jsonl: meta/info.json says total_episodes 4, the episode table has 3",
      "meta/episodes.jsonl: meta/info.json says total_frames 40, the episode table has 36",
      "meta/info.json: total_tasks: expected 3, found 2 in meta/tasks.jsonl",
    ],
  ],
  "an episode twice, one of no length, one of no number": [
    {
      version: "v3.0",
      raw: (raw) => {
        raw.table = (row) =>
          row["episode_index"] === 2 && Object.assign(row, { episode_index: 0, length: 0 });
      },
    },
    [
      "meta/episodes/chunk-000/file-000.parquet: episode 0: length: expected a whole number from 1, found 0",
      "meta/episodes: meta/info.json says total_episodes 3, the episode table has 2",
    ],
  ],
  "a negative index": [
    { raw: (raw) => (raw.table = (row) => row["episode_index"] === 2 && (row["episode_index"] = -2)) },
    ["meta/episodes.jsonl: episode_index: expected a whole number from 0, found -2"],
  ],
  "tasks: empty, unknown, none": [
    {
      raw: (raw) => {
        raw.tasks[1]!.task = " ";
        raw.episodes[2]!.task_index = 9;
      },
    },
    [
      "meta/tasks.jsonl: task 1 is empty",
      `${E1}: episode 1, row 0: its task (1) is empty`,
      "data/chunk-000/episode_000002.parquet: episode 2, row 0: task_index: 9 is not in the task table",
    ],
  ],
  "a task table that is none": [
    { files: (dir) => writeFileSync(join(dir, "meta/tasks.jsonl"), '{"task_index": "x", "task": 1}\n') },
    ["meta/tasks.jsonl: task_index: expected a whole number from 0, found x"],
  ],
  "a file missing, another cut short": [
    {
      files: (dir) => {
        rmSync(join(dir, E1));
        truncateSync(join(dir, "data/chunk-000/episode_000002.parquet"), 300);
      },
    },
    [`${E1}: `, "data/chunk-000/episode_000002.parquet: not a complete parquet file"],
  ],
  "a column missing": [
    {
      raw: (raw) =>
        (raw.info = (info) =>
          Object.assign(info["features"] as object, { force: { dtype: "float32", shape: [3] } })),
    },
    ["data/chunk-000/episode_000000.parquet: meta/info.json names 'force', but there is no such column"],
  ],
  "no fps": [
    { raw: (raw) => (raw.info = (info) => (info["fps"] = 0)) },
    ["meta/info.json: fps: expected frames per second, found 0"],
  ],
  "videos missing, cut short, of other frames and size": [
    {
      video: true,
      raw: (raw) =>
        (raw.info = (info) =>
          Object.assign(info["features"] as object, {
            cam: { dtype: "video", shape: [96, 64, 3], names: null, info: { "video.codec": "av1" } },
          })),
      files: (dir) => {
        rmSync(join(dir, V1));
        truncateSync(join(dir, "videos/chunk-000/cam/episode_000002.mp4"), 300);
      },
    },
    [
      "videos/chunk-000/cam/episode_000000.mp4: episode 0: expected 96x64 pixels (height x width), found 48x64",
      "videos/chunk-000/cam/episode_000000.mp4: episode 0: expected codec av1, found mpeg4",
      `${V1}: episode 1: missing; it should hold cam`,
      "videos/chunk-000/cam/episode_000002.mp4: episode 2: not a readable video file",
    ],
  ],
  "a video of too few frames": [
    {
      video: true,
      files: (dir) => encodeVideo(join(dir, V1), { codec: "mpeg4", frames: 9, fps: 10, gop: 4, bFrames: 0 }),
    },
    [
      `${V1}: episode 1: expected 12 frames, found 9`,
      `${V1}: episode 1: its last frame is at 1.100 s, the video ends at 0.900 s`,
    ],
  ],
  "ranges that disagree with lengths": [
    {
      version: "v3.0",
      video: true,
      raw: (raw) => {
        raw.table = (row) =>
          row["episode_index"] === 1 &&
          Object.assign(row, { dataset_to_index: 25, "videos/cam/to_timestamp": 2.9 });
      },
    },
    [
      "meta/episodes/chunk-000/file-000.parquet: episode 1: dataset_to_index: expected 24 by the lengths before it, found 25",
      "meta/episodes/chunk-000/file-000.parquet: episode 1: videos/cam/to_timestamp: expected 2.400 by its length, found 2.900",
    ],
  ],
  "episodes that overlap in their video": [
    {
      version: "v3.0",
      video: true,
      raw: (raw) => {
        raw.table = (row) => row["episode_index"] === 1 && (row["videos/cam/from_timestamp"] = 0.6);
      },
    },
    ["videos/cam/chunk-000/file-000.mp4: episode 1: begins at 0.600 s, within episode 0"],
  ],
};

describe("a broken copy", () => {
  test.each(Object.entries(cases))("%s", async (_, [change, expected]) => {
    const found = await problems(broken(change));
    for (const line of expected) {
      expect(
        found.filter((other) => other.startsWith(line)),
        `${line}\nin\n${found.join("\n")}`,
      ).toHaveLength(1);
    }
  });

  test("nothing besides: each change is blamed once", async () => {
    for (const name of [
      "NaN and infinity, by the number's name",
      "wrong shapes",
      "an action jump",
      "no fps",
    ]) {
      const [change, expected] = cases[name]!;
      expect(await problems(broken(change))).toHaveLength(expected.length);
    }
  });

  test("frames that do not decode are found when asked", async () => {
    const dir = broken({ video: true });
    const path = join(dir, V1);
    const bytes = readFileSync(path);
    // The later half of the pictures.
    const [begin, end] = [bytes.indexOf("mdat") + 4, bytes.indexOf("moov") - 4];
    bytes.fill(0, Math.ceil((begin + end) / 2), end);
    writeFileSync(path, bytes);
    const lines = await problems(dir, { decode: true });
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.every((line) => line.startsWith(`${V1}: episode 1, row `))).toBe(true);
  });

  test("images of another size, and none", async () => {
    const dir = join(folder, "images");
    await writeTiny(dir, [2]);
    const path = join(dir, "meta/info.json");
    const info = JSON.parse(readFileSync(path, "utf8"));
    info.features["observation.images.wrist"].shape = [5, 8, 3];
    writeFileSync(path, JSON.stringify(info));
    const wrong = "observation.images.wrist: expected 5x8 pixels (height x width), found 6x8";
    expect(await problems(dir, { decode: true })).toEqual([
      `data/chunk-000/file-000.parquet: episode 0, row 0: ${wrong}`,
      `data/chunk-000/file-000.parquet: episode 0, row 1: ${wrong}`,
    ]);
  });

  test("info.json that is none ends it", async () => {
    const dir = broken({ files: (d) => writeFileSync(join(d, "meta/info.json"), "{") });
    expect(await problems(dir)).toEqual(["meta/info.json: is not JSON"]);
  });
});

test("a robust deviation is the normal distribution's, whatever the outliers and the unit", () => {
  for (const unit of [1e-6, 1, 1e6]) {
    const sizes = stepSizes();
    let seed = 1;
    const uniform = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647;
    for (let i = 0; i < 20_000; i++) {
      const normal = Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
      sizes.add(0, unit * (i % 50 === 0 ? 1000 : normal));
      sizes.add(0, 0);
    }
    expect(sizes.deviation()! / unit).toBeGreaterThan(0.93);
    expect(sizes.deviation()! / unit).toBeLessThan(1.1);
  }
  expect(stepSizes().deviation()).toBeUndefined();
});

describeShared("published datasets", () => {
  test("the real DROID episodes have only their empty task", async () => {
    for (const name of ["droid_subset_v21", "droid_subset_v30_multifile", "droid_image_v30"]) {
      const lines = await problems(sharedPath("data/lerobot", name));
      expect(lines.filter((line) => !/task \(?\d\)? is empty$/.test(line))).toEqual([]);
    }
  });

  test("the one with quirks: late timestamps, a camera without files, a split of others", async () => {
    const lines = await problems(sharedPath("data/lerobot/v20_gr00t_robot_sim_PickNPlace"), { decode: true });
    expect(lines).toContain("meta/info.json: splits.train: expected episodes of 0:5, found 0:100");
    expect(
      lines.filter((line) => line.includes("observation.images.egoview") && line.includes("missing")),
    ).toHaveLength(5);
    expect(
      lines.filter((line) => /row 0: timestamp: expected 0.0000 s at 20 fps, found 0.0500 s/.test(line)),
    ).toHaveLength(5);
    // The videos end where the rows would have ended without the delay: each last row has no frame.
    const undecodable = lines.filter((line) => line.includes("ego_view") && line.includes("no frame within"));
    expect(undecodable).toHaveLength(5);
    expect(undecodable[1]).toContain("episode 1, row 469: no frame within 0.0001 s of 23.499978 s");
  });
});
