/** @file Bad datasets: every error names the file or the key, what was expected and what was found. */
import { cpSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeShared, sharedPath } from "@insula/test-kit";
import { parquetWriteFile } from "hyparquet-writer";
import { beforeAll, describe, expect, test } from "vitest";
import { checkFinite, openLeRobotDataset } from "../src/index.js";
import { tempFolder, writeTiny } from "./fixtures.js";

const folder = tempFolder();
const DATA = "data/chunk-000/file-000.parquet";
let copies = 0;
// biome-ignore lint/suspicious/noExplicitAny: JSON to be damaged in any way
type Json = Record<string, any>;

beforeAll(() => writeTiny(join(folder, "good"), [5, 3, 7]));

/** A copy of the good dataset to damage. */
function copy(): string {
  const dir = join(folder, `copy${copies++}`);
  cpSync(join(folder, "good"), dir, { recursive: true });
  return dir;
}

function editInfo(dir: string, edit: (info: Json) => void): void {
  const path = join(dir, "meta/info.json");
  const info = JSON.parse(readFileSync(path, "utf8"));
  edit(info);
  writeFileSync(path, JSON.stringify(info));
}

describe("metadata", () => {
  test("no info.json", async () => {
    await expect(openLeRobotDataset(join(folder, "nowhere"))).rejects.toThrow(
      `${join(folder, "nowhere/meta/info.json")}: not found; a LeRobot dataset folder has meta/, data/ and, with cameras, videos/`,
    );
  });

  test.each<[string, (info: Json) => void, string, string]>([
    [
      "another version",
      (i) => (i["codebase_version"] = "v1.6"),
      "dataset/version",
      'expected v2.0, v2.1, v3.0, found "v1.6"',
    ],
    ["no fps", (i) => delete i["fps"], "dataset/info", "fps: expected frames per second, found undefined"],
    [
      "a bad shape",
      (i) => (i["features"].actions.shape = [-1]),
      "dataset/info",
      "features.actions.shape: expected dimensions, found [-1]",
    ],
    [
      "missing episodes",
      (i) => (i["total_episodes"] = 4),
      "dataset/counts",
      "says total_episodes 4, the episode table has 3",
    ],
    [
      "missing frames",
      (i) => (i["total_frames"] = 16),
      "dataset/counts",
      "says total_frames 16, the episode table has 15",
    ],
    [
      "a path out of the folder",
      (i) => (i["data_path"] = "../good/data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"),
      "dataset/path-escapes",
      "points outside the dataset",
    ],
    [
      "an absolute path",
      (i) => (i["data_path"] = "/etc/passwd"),
      "dataset/path-escapes",
      "'/etc/passwd' points outside the dataset",
    ],
    [
      "an unknown field in a path",
      (i) => (i["data_path"] = "data/{shard}.parquet"),
      "dataset/path",
      "unknown field {shard} (known: chunk_index, file_index)",
    ],
    [
      "an unknown dtype",
      (i) => (i["features"].actions.dtype = "complex64"),
      "dataset/dtype",
      "feature 'actions' has the unknown dtype 'complex64'",
    ],
  ])("%s", async (_, edit, code, message) => {
    const dir = copy();
    editInfo(dir, edit);
    const error = await openLeRobotDataset(dir).catch((e: unknown) => e);
    expect(error).toMatchObject({ name: "InsulaError", code });
    expect(String(error)).toContain(message);
  });

  test("info.json that is not JSON", async () => {
    const dir = copy();
    writeFileSync(join(dir, "meta/info.json"), "{");
    await expect(openLeRobotDataset(dir)).rejects.toMatchObject({ code: "dataset/info" });
  });

  test("a v2.1 dataset whose feature name climbs out of the folder", async () => {
    const dir = join(folder, "climb");
    mkdirSync(join(dir, "meta"), { recursive: true });
    const features = { "../../../../etc": { dtype: "video", shape: [4, 4, 3] } };
    const info = { codebase_version: "v2.1", fps: 5, total_episodes: 1, total_frames: 2, features };
    writeFileSync(join(dir, "meta/info.json"), JSON.stringify(info));
    writeFileSync(join(dir, "meta/episodes.jsonl"), '{"episode_index": 0, "length": 2}\n');
    writeFileSync(join(dir, "meta/tasks.jsonl"), '{"task_index": 0, "task": ""}\n');
    await expect(openLeRobotDataset(dir)).rejects.toMatchObject({ code: "dataset/path-escapes" });
  });
});

describe("keys", () => {
  test("a key that is not there, with the ones that are", async () => {
    const dataset = await openLeRobotDataset(join(folder, "good"));
    await expect(dataset.column("joint_positions")).rejects.toThrow(
      "feature 'joint_positions' is not in this dataset; did you mean 'joint_position'? (available: observation.images.wrist, joint_position, gripper_position, actions, pose, success, step, timestamp, frame_index, episode_index, index, task_index)",
    );
    await expect(dataset.sample(0, { actionHorizon: 2, actionKeys: ["velocity"] })).rejects.toMatchObject({
      code: "dataset/missing-key",
    });
    await expect(openLeRobotDataset(join(folder, "good"), { cameras: ["wrist"] })).rejects.toThrow(
      "camera 'wrist' is not in this dataset (available: observation.images.wrist)",
    );
    await expect(dataset.column("observation.images.wrist")).rejects.toMatchObject({ code: "dataset/dtype" });
    for (const index of [-1, 15, 0.5]) {
      await expect(dataset.sample(index)).rejects.toMatchObject({ code: "dataset/index" });
    }
    await dataset.close();
  });

  test("a column that info.json names and the file lacks", async () => {
    const dir = copy();
    editInfo(dir, (i) => (i["features"].velocity = { dtype: "float32", shape: [2] }));
    const dataset = await openLeRobotDataset(dir);
    await expect(dataset.column("velocity")).rejects.toThrow(
      "meta/info.json names 'velocity', but the file has only",
    );
    expect((await dataset.column("actions")).shape).toEqual([15, 4]);
  });
});

describe("data", () => {
  test("the wrong action width, with the episode", async () => {
    const dir = copy();
    editInfo(dir, (i) => (i["features"].actions.shape = [8]));
    const dataset = await openLeRobotDataset(dir);
    await expect(dataset.column("actions")).rejects.toThrow(
      "actions: expected [*, 8], found [.., 4] in episode 0",
    );
    await expect(dataset.sample(0)).rejects.toMatchObject({ code: "dataset/shape" });
  });

  test("NaN and null, with feature, episode, frame and dim", async () => {
    const dir = join(folder, "v21");
    mkdirSync(join(dir, "meta"), { recursive: true });
    mkdirSync(join(dir, "data/chunk-000"), { recursive: true });
    const features = { state: { dtype: "float32", shape: [2] }, actions: { dtype: "float32", shape: [1] } };
    const info = { codebase_version: "v2.1", fps: 5, total_episodes: 2, total_frames: 5, features };
    writeFileSync(join(dir, "meta/info.json"), JSON.stringify(info));
    writeFileSync(join(dir, "meta/tasks.jsonl"), '{"task_index": 0, "task": "t"}\n');
    writeFileSync(
      join(dir, "meta/episodes.jsonl"),
      '{"episode_index": 0, "length": 2}\n{"episode_index": 1, "length": 3}\n',
    );
    const write = (episode: number, state: number[][], actions: (number | null)[]): void =>
      parquetWriteFile({
        filename: join(dir, `data/chunk-000/episode_00000${episode}.parquet`),
        columnData: [
          { name: "state", data: state },
          { name: "actions", data: actions },
        ],
        schema: [
          { name: "root", num_children: 2 },
          { name: "state", repetition_type: "OPTIONAL", num_children: 1, converted_type: "LIST" },
          { name: "list", repetition_type: "REPEATED", num_children: 1 },
          { name: "element", repetition_type: "OPTIONAL", type: "FLOAT" },
          { name: "actions", repetition_type: "OPTIONAL", type: "FLOAT" },
        ],
      });
    write(
      0,
      [
        [0, 1],
        [2, 3],
      ],
      [1, 2],
    ); // prettier-ignore
    write(
      1,
      [
        [4, 5],
        [6, Number.NaN],
        [8, 9],
      ],
      [3, 4, null],
    );
    const dataset = await openLeRobotDataset(dir);
    await expect(checkFinite(dataset, ["state"])).rejects.toThrow(
      "state: NaN in episode 1, frame 1, dim 1; repair or leave out the episode",
    );
    await expect(dataset.column("actions")).rejects.toThrow("actions: null in episode 1, frame 2");
    write(
      1,
      [
        [4, 5],
        [6, 7],
        [8, 9],
      ],
      [3, 4, 5],
    );
    await expect(checkFinite(await openLeRobotDataset(dir))).resolves.toBeUndefined();
    rmSync(join(dir, "data/chunk-000/episode_000001.parquet"));
    expect(await dataset.missingFiles()).toEqual(["data/chunk-000/episode_000001.parquet"]);
    await expect((await openLeRobotDataset(dir)).sample(4)).rejects.toMatchObject({
      code: "dataset/missing-file",
    });
  });

  test("truncated parquet", async () => {
    const dir = copy();
    truncateSync(join(dir, DATA), 700);
    const dataset = await openLeRobotDataset(dir);
    const error = await dataset.sample(0).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "dataset/parquet" });
    expect(String(error)).toContain(`${join(dir, DATA)}: not a complete parquet file`);
    await expect(dataset.column("actions")).rejects.toMatchObject({ code: "dataset/parquet" });
  });

  test("a data file of another dataset", async () => {
    await writeTiny(join(folder, "other"), [4, 3]);
    const dir = copy();
    cpSync(join(folder, "other", DATA), join(dir, DATA));
    const dataset = await openLeRobotDataset(dir);
    await expect(dataset.sample(0)).rejects.toThrow("expected 15 rows (episodes 0 to 2), found 7");
  });

  test("damaged image bytes", async () => {
    const dir = copy();
    const bytes = readFileSync(join(dir, DATA));
    bytes.set([0, 0, 0, 0], bytes.indexOf("\x89PNG", 0, "latin1"));
    writeFileSync(join(dir, DATA), bytes);
    const dataset = await openLeRobotDataset(dir);
    await expect(dataset.sample(0)).rejects.toMatchObject({ code: "dataset/image" });
    expect((await dataset.sample(0, { cameras: [] }))["observation.images.wrist"]).toBeUndefined();
    await dataset.close();
  });
});

describeShared("published datasets with quirks", () => {
  test("v2.0 with a camera that has no files, float64, and chunk-{episode_index} in its template", async () => {
    const dataset = await openLeRobotDataset(sharedPath("data/lerobot/v20_gr00t_robot_sim_PickNPlace"));
    expect([dataset.episodes.length, dataset.totalFrames]).toEqual([5, 2096]);
    expect([dataset.info.totalEpisodes, dataset.info.totalFrames]).toEqual([5, 2096]);
    const missing = await dataset.missingFiles();
    expect(missing).toHaveLength(5);
    expect(missing[4]).toBe("videos/chunk-000/observation.images.egoview/episode_000004.mp4");
    const actions = await dataset.column("actions");
    expect(actions.data).toBeInstanceOf(Float64Array);
    expect(actions.shape).toEqual([2096, 44]);
    const last = dataset.episodes.at(-1)!;
    const cameras = ["observation.images.ego_view"];
    const sample = await dataset.sample(last.to - 2, { actionHorizon: 3, cameras });
    expect(sample["actions"]).toMatchObject({ shape: [3, 44] });
    expect(sample["actions_is_pad"]).toMatchObject({ data: Uint8Array.of(0, 0, 1) });
    expect(sample["action"]).toBeUndefined();
    expect(sample[cameras[0]!]).toMatchObject({ shape: [256, 256, 3] });
    expect(sample["frame_index"]).toBe(last.length - 2);
    await expect(dataset.sample(0)).rejects.toMatchObject({ code: "dataset/missing-file" });
    await dataset.close();
  });

  test("timestamps one frame late: LeRobot's tolerance refuses the last row, a wider one takes the nearest", async () => {
    const root = sharedPath("data/lerobot/v20_gr00t_robot_sim_PickNPlace");
    const cameras = ["observation.images.ego_view"];
    const strict = await openLeRobotDataset(root, { cameras });
    const wide = await openLeRobotDataset(root, { cameras, toleranceS: 0.06 });
    const { to } = strict.episodes[1]!;
    await expect(strict.sample(to - 1)).rejects.toThrow(
      "no frame within 0.0001 s of 23.499978 s (nearest: 23.450000 s)",
    );
    // The video ends one frame early: the last two rows share a frame, the one before has its own.
    const [before, nearest] = [await strict.sample(to - 2), await wide.sample(to - 1)];
    expect(nearest[cameras[0]!]).toEqual(before[cameras[0]!]);
    expect(await wide.sample(to - 3)).toEqual(await strict.sample(to - 3));
    await Promise.all([strict.close(), wide.close()]);
  });

  test("v2.1 with videos of four episodes only", async () => {
    const dataset = await openLeRobotDataset(sharedPath("data/lerobot/v21_g1_inspire"));
    expect([dataset.episodes.length, dataset.totalFrames]).toEqual([100, 35_965]);
    expect((await dataset.column("action")).shape).toEqual([35_965, 26]);
    expect(await dataset.missingFiles()).toHaveLength(96);
    expect(await dataset.missingFiles({ episodes: [28, 29, 30, 31] })).toEqual([]);
    expect(await dataset.missingFiles({ cameras: [] })).toEqual([]);
    await expect(dataset.sample(0)).rejects.toThrow("observation.images.cam_high/episode_000000.mp4");
    const { from } = dataset.episodes[30]!;
    const sample = await dataset.sample(from + 7);
    expect(sample["observation.images.cam_high"]).toMatchObject({ shape: [480, 640, 3] });
    await dataset.close();
  });
});
