/** @file The writer: what it writes is read back exactly, in LeRobot's layout, and never seen half done. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { NdArray } from "@insula/model-types";
import { asyncBufferFromFile, parquetMetadataAsync } from "hyparquet";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { createLeRobotDataset, openLeRobotDataset } from "../src/index.js";
import { expectTiny, png, TINY_FEATURES, tempFolder, writeTiny } from "./fixtures.js";

const folder = tempFolder();
const json = (...path: string[]) => JSON.parse(readFileSync(join(folder, ...path), "utf8"));

describe("a written dataset", () => {
  test("is read back exactly, over several files and chunks", async () => {
    await writeTiny(join(folder, "many"), [5, 3, 40, 1, 2], { dataFilesSizeInMb: 0.001, chunksSize: 2 });
    expect(existsSync(join(folder, "many/data/chunk-001/file-000.parquet"))).toBe(true);
    const dataset = await openLeRobotDataset(join(folder, "many"));
    expect(dataset.totalFrames).toBe(51);
    expect([...dataset.tasks]).toEqual([
      [0, "lift the ä cup"],
      [1, ""],
    ]);
    await expectTiny(dataset);
    await dataset.close();
  });

  test("has LeRobot's info.json, stats.json and schema metadata", async () => {
    await writeTiny(join(folder, "one"), [4, 4]);
    expect(json("one/meta/info.json")).toMatchObject({
      codebase_version: "v3.0",
      robot_type: "panda",
      total_episodes: 2,
      total_frames: 8,
      total_tasks: 2,
      fps: 10,
      splits: { train: "0:2" },
      data_path: "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
      video_path: null,
      features: { ...TINY_FEATURES, timestamp: { dtype: "float32", shape: [1], names: null } },
    });
    const stats = json("one/meta/stats.json");
    // Episodes 0 and 1 hold e + frame/16 for frames 0…3: mean 0.5 + 1.5/16.
    expect(stats.gripper_position.mean[0]).toBeCloseTo(0.59375, 12);
    expect(stats.gripper_position.std[0]).toBeCloseTo(Math.sqrt(0.25 + 1.25 / 256), 12);
    expect([stats.index.min, stats.index.max, stats.index.count]).toEqual([[0], [7], [8]]);
    expect(stats["observation.images.wrist"].max).toEqual([[[100 / 255]], [[100 / 255]], [[100 / 255]]]);

    const data = await asyncBufferFromFile(join(folder, "one/data/chunk-000/file-000.parquet"));
    const { key_value_metadata, row_groups } = await parquetMetadataAsync(data);
    const huggingface = JSON.parse(key_value_metadata!.find((kv) => kv.key === "huggingface")!.value!);
    expect(huggingface.info.features.actions).toEqual({
      feature: { dtype: "float32", _type: "Value" },
      length: 4,
      _type: "List",
    });
    expect(huggingface.info.features["observation.images.wrist"]).toEqual({ _type: "Image" });
    expect(row_groups.map((g) => Number(g.num_rows))).toEqual([4, 4]);
    const tasks = await asyncBufferFromFile(join(folder, "one/meta/tasks.parquet"));
    const pandas = (await parquetMetadataAsync(tasks)).key_value_metadata!.find((kv) => kv.key === "pandas")!;
    expect(JSON.parse(pandas.value!).index_columns).toEqual(["__index_level_0__"]);
  });
});

test("texts, a task per frame, timestamps, pixels and grey images", async () => {
  const frames = 4;
  const pixels = (i: number): NdArray<Uint8Array> => ({
    data: Uint8Array.from({ length: 6 * 8 * 3 }, (_, k) => (k * 7 + i) % 256),
    shape: [6, 8, 3],
  });
  const grey = await sharp(Buffer.alloc(48, 77), { raw: { width: 8, height: 6, channels: 1 } })
    .toColourspace("b-w")
    .png()
    .toBuffer();
  const writer = await createLeRobotDataset(join(folder, "various"), {
    fps: 5,
    robotType: null,
    features: {
      note: { dtype: "string", shape: [1] },
      cam: { dtype: "image", shape: [6, 8, 3], names: ["height", "width", "channel"] },
      grey: { dtype: "image", shape: [6, 8, 3], names: ["height", "width", "channel"] },
    },
  });
  const timestamps = { data: Float32Array.of(0, 0.25, 0.5, 0.625), shape: [frames] };
  await writer.addEpisode({
    task: ["reach", "reach", "grasp", "reach"],
    frames,
    columns: { note: ["a", "", "ü", "a"] },
    images: {
      cam: (async function* () {
        for (let i = 0; i < frames; i++) yield pixels(i);
      })(),
      grey: [grey, grey, grey, grey],
    },
    timestamps,
  });
  await writer.finalize();
  const dataset = await openLeRobotDataset(join(folder, "various"));
  expect(dataset.info.robotType).toBeNull();
  expect(dataset.episodes[0]!.tasks).toEqual(["reach", "grasp"]);
  for (let i = 0; i < frames; i++) {
    const sample = await dataset.sample(i);
    expect(sample).toMatchObject({
      task: i === 2 ? "grasp" : "reach",
      note: ["a", "", "ü", "a"][i],
      timestamp: timestamps.data[i],
    });
    expect((sample["cam"] as NdArray).data).toEqual(pixels(i).data);
    expect((sample["grey"] as NdArray).data[0]).toBe(77);
  }
  const stats = json("various/meta/stats.json");
  expect(stats.note).toBeUndefined();
  expect(stats.grey.mean).toEqual([[[77 / 255]], [[77 / 255]], [[77 / 255]]]);
  await dataset.close();
});

describe("a writer that does not finish", () => {
  const features = { actions: { dtype: "float32", shape: [2] } } as const;
  const options = { fps: 5, robotType: "panda", features };
  const episode = (frames: number) => ({
    task: "t",
    frames,
    columns: { actions: { data: new Float32Array(frames * 2), shape: [frames, 2] } },
    images: {},
  });

  test("with commit: finalize shows nothing under the dataset's name, and nothing at all after abort()", async () => {
    const home = join(folder, "crash");
    const writer = await createLeRobotDataset(join(home, "d"), { ...options, commit: "finalize" });
    await writer.addEpisode(episode(3));
    expect(readdirSync(home).every((name) => name.startsWith(".d.partial-"))).toBe(true);
    await writer.abort();
    expect(readdirSync(home)).toEqual([]);
    await expect(writer.finalize()).rejects.toMatchObject({ code: "dataset/writer-closed" });
  });

  test("shows every finished episode, also after abort()", async () => {
    const home = join(folder, "seen");
    const dir = join(home, "d");
    const writer = await createLeRobotDataset(dir, options);
    expect(existsSync(dir)).toBe(false);
    for (const [i, frames] of [3, 1, 4].entries()) {
      await writer.addEpisode(episode(frames));
      expect((await openLeRobotDataset(dir)).episodes.length).toBe(i + 1);
    }
    await writer.abort();
    expect(readdirSync(home)).toEqual(["d"]);
    expect(readdirSync(dir).sort()).toEqual(["data", "meta"]);
    expect((await openLeRobotDataset(dir)).totalFrames).toBe(8);
  });

  test("a refused episode leaves the others whole", async () => {
    const writer = await createLeRobotDataset(join(folder, "kept"), options);
    await writer.addEpisode(episode(3));
    await expect(writer.addEpisode({ ...episode(2), frames: 3 })).rejects.toThrow(
      "actions: expected [3, 2], found [2, 2] in episode 1",
    );
    await Promise.all([writer.addEpisode(episode(1)), writer.addEpisode(episode(2))]);
    await writer.finalize();
    const dataset = await openLeRobotDataset(join(folder, "kept"));
    expect(dataset.episodes.map((e) => e.length)).toEqual([3, 1, 2]);
    expect(statSync(join(folder, "kept")).mode & 0o055).toBe(0o055 & ~process.umask());
    await expect(createLeRobotDataset(join(folder, "kept"), options)).rejects.toMatchObject({
      code: "dataset/exists",
    });
  });

  test("without episodes there is nothing to finalize", async () => {
    const writer = await createLeRobotDataset(join(folder, "none"), options);
    await expect(writer.finalize()).rejects.toMatchObject({ code: "dataset/empty" });
    await writer.abort();
  });
});

describe("refused input", () => {
  const frames = 2;
  const good = async () => ({
    task: "t",
    frames,
    columns: { actions: { data: new Float32Array(4), shape: [2, 2] } } as Record<string, NdArray>,
    images: { cam: [await png(0, 0), await png(0, 1)] },
  });
  const open = () =>
    createLeRobotDataset(join(folder, "refused"), {
      fps: 5,
      robotType: "panda",
      features: {
        actions: { dtype: "float32", shape: [2] },
        cam: { dtype: "image", shape: [6, 8, 3], names: ["height", "width", "channel"] },
      },
    });

  test.each([
    ["a missing column", { columns: {} }, "episode 0: no column 'actions'"],
    [
      "NaN",
      { columns: { actions: { data: Float32Array.of(0, 1, 2, Number.NaN), shape: [2, 2] } } },
      "actions: NaN in episode 0, frame 1, dim 1",
    ],
    ["too few images", { images: { cam: [] } }, "cam: expected 2 images, found 0 in episode 0"],
    [
      "no image",
      { images: { cam: [new Uint8Array(9), new Uint8Array(9)] } },
      "cam: frame 0 of episode 0 is not an image",
    ],
  ])("%s", async (_, change, message) => {
    const writer = await open();
    await expect(writer.addEpisode({ ...(await good()), ...change })).rejects.toThrow(message);
    await writer.abort();
  });

  test("an unknown feature, an image of another size", async () => {
    const writer = await open();
    const episode = await good();
    await expect(
      writer.addEpisode({ ...episode, columns: { ...episode.columns, extra: episode.columns["actions"]! } }),
    ).rejects.toThrow("episode 0: 'extra' is not a feature of this dataset (actions, cam)");
    const large = await png(0, 0, [7, 9]);
    await expect(writer.addEpisode({ ...episode, images: { cam: [large, large] } })).rejects.toThrow(
      "cam: expected 6x8 pixels (height x width), found 7x9 in episode 0, frame 0",
    );
    await writer.abort();
  });

  test("features that cannot be written", async () => {
    const create = (name: string, dtype: string, shape = [1]) =>
      createLeRobotDataset(join(folder, "f"), {
        fps: 5,
        robotType: "p",
        features: { [name]: { dtype, shape } },
      });
    await expect(create("cam", "complex64")).rejects.toThrow(
      "feature 'cam': cannot write dtype 'complex64'; use a number, 'string', 'image' or 'video'",
    );
    await expect(create("cam", "video", [5, 8, 3])).rejects.toThrow(
      "feature 'cam': videos need an even height and width, found 5x8; use dtype 'image'",
    );
    await expect(create("index", "int64")).rejects.toThrow(
      "feature 'index': is added by the writer; leave it out",
    );
    await expect(create("a/b", "int64")).rejects.toThrow("feature 'a/b': names may not contain '/'");
    await expect(create("a", "int64", [0])).rejects.toThrow(
      "feature 'a': expected positive dimensions, found [0]",
    );
  });
});
