/** @file Converting, splitting and merging tiny datasets: every number and pixel of the sources, once, in order. */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { NdArray } from "@insula/model-types";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  byFraction,
  byTask,
  convertLeRobotDataset,
  createLeRobotDataset,
  extractEpisodes,
  type LeRobotDataset,
  mergeLeRobotDatasets,
  ofTasks,
  openLeRobotDataset,
  splitLeRobotDataset,
} from "../src/index.js";
import { expectTiny, TINY_FEATURES, tempFolder, tinyValue, writeTiny } from "./fixtures.js";

const folder = tempFolder();
const at = (name: string) => join(folder, name);
const json = (...path: string[]) => JSON.parse(readFileSync(join(folder, ...path), "utf8"));

/** Which source episode an episode of the copy is: its first value says so. */
const origins = async (dataset: LeRobotDataset) => {
  const { data } = await dataset.column("gripper_position");
  return dataset.episodes.map(({ from }) => Number(data[from]));
};

describe("extracting and splitting", () => {
  test("episodes come in the order asked for, with their values, images and task indices", async () => {
    await writeTiny(at("five"), [2, 3, 4, 1, 5]);
    const progress: string[] = [];
    const result = await extractEpisodes(at("five"), at("some"), [3, 0, 4], {
      onProgress: (done, total) => progress.push(`${done}/${total}`),
    });
    expect(result).toEqual({ dir: at("some"), episodes: 3, frames: 8, tasks: 2 });
    expect(progress).toEqual(["1/3", "2/3", "3/3"]);
    const some = await openLeRobotDataset(at("some"));
    expect(await origins(some)).toEqual([3, 0, 4]);
    expect(some.episodes.map((e) => e.length)).toEqual([1, 2, 5]);
    expect([...some.tasks]).toEqual([
      [0, "lift the ä cup"],
      [1, ""],
    ]);
    for (const [e, origin] of [3, 0, 4].entries()) {
      const { from, length } = some.episodes[e]!;
      for (let frame = 0; frame < length; frame++) {
        const sample = await some.sample(from + frame);
        const pixels = (sample["observation.images.wrist"] as NdArray).data;
        expect([...pixels.slice(0, 3)]).toEqual([frame, origin, 7]);
        expect((sample["pose"] as NdArray).data[3]).toBe(tinyValue(origin, frame, 3));
        expect(sample).toMatchObject({ episode_index: e, frame_index: frame, task_index: origin % 2 });
      }
    }
    await some.close();
    const info = json("some/meta/info.json");
    expect(info).toMatchObject({ codebase_version: "v3.0", total_episodes: 3, total_frames: 8, fps: 10 });
    // Statistics of what is there: exact over the eight frames.
    const values = [3, 0, 4].flatMap((e, i) =>
      Array.from({ length: [1, 2, 5][i]! }, (_, frame) => tinyValue(e, frame, 0)),
    );
    const mean = values.reduce((a, b) => a + b) / 8;
    const stats = json("some/meta/stats.json").gripper_position;
    expect([stats.min, stats.max, stats.count]).toEqual([[0], [Math.max(...values)], [8]]);
    expect(stats.mean[0]).toBeCloseTo(mean, 12);
    expect(stats.std[0]).toBeCloseTo(Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / 8), 12);
  });

  test("by task, by fraction", async () => {
    await writeTiny(at("ten"), [1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
    const parts = await splitLeRobotDataset(at("ten"), at("tasks"), byTask);
    expect(Object.keys(parts)).toEqual(["task-0", "task-1"]);
    expect(await origins(await openLeRobotDataset(at("tasks/task-1")))).toEqual([1, 3, 5, 7, 9]);
    const odd = await extractEpisodes(at("ten"), at("odd"), ofTasks([""]));
    expect([odd.episodes, odd.frames]).toEqual([5, 10]);

    const shares = { train: 0.7, val: 0.2, test: 0.1 };
    const split = await splitLeRobotDataset(at("ten"), at("split"), byFraction(shares, 3));
    expect(Object.values(split).map((r) => r.episodes)).toEqual([7, 2, 1]);
    const all = [];
    for (const name of Object.keys(shares))
      all.push(await origins(await openLeRobotDataset(at(`split/${name}`))));
    expect(all.flat().sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(all.flat()).not.toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await splitLeRobotDataset(at("ten"), at("again"), byFraction(shares, 3));
    expect(await origins(await openLeRobotDataset(at("again/train")))).toEqual(all[0]);
  });

  test("fractions take every episode once, however they divide", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 500 }),
        fc.nat(),
        (weights, count, seed) => {
          const sum = weights.reduce((a, b) => a + b);
          const choose = byFraction(Object.fromEntries(weights.map((w, i) => [`p${i}`, w / sum])), seed);
          const episodes = Array.from({ length: count }, (_, i) => ({ index: 2 * i }));
          const parts = (choose as (d: unknown) => Record<string, number[]>)({ episodes });
          const taken = Object.values(parts).flat();
          expect(taken.sort((a, b) => a - b)).toEqual(episodes.map((e) => e.index));
          for (const [i, part] of Object.values(parts).entries())
            expect(Math.abs(part.length - (count * weights[i]!) / sum)).toBeLessThanOrEqual(1);
        },
      ),
    );
  });

  test.each([
    [[5], "there is no episode 5; its episodes are 0 to 4"],
    [[1, 1], "episode 1 is chosen twice"],
    [[], "no episode is chosen"],
  ])("refuses episodes %j, leaving nothing", async (episodes, message) => {
    await expect(extractEpisodes(at("five"), at("bad"), episodes)).rejects.toThrow(message);
    expect(existsSync(at("bad"))).toBe(false);
  });

  test("refuses bad parts, unknown tasks and an existing folder", async () => {
    const split = (parts: Record<string, number[]>) => splitLeRobotDataset(at("five"), at("bad"), parts);
    await expect(split({ a: [0], b: [1, 0] })).rejects.toThrow("episode 0 is in two parts, 'a' and 'b'");
    await expect(split({ "../a": [0] })).rejects.toThrow("part '../a': expected letters");
    await expect(split({ a: [] })).rejects.toThrow("part 'a' has no episode");
    expect(() => byFraction({ a: 0.9, b: 0.2 })).toThrow("the fractions add up to 1.1");
    expect(() => byFraction({ a: 0 })).toThrow("part 'a': expected a fraction in (0, 1], found 0");
    await expect(extractEpisodes(at("five"), at("bad"), ofTasks(["lift"]))).rejects.toThrow(
      "no task 'lift'; its tasks: 'lift the ä cup', ''",
    );
    await expect(extractEpisodes(at("five"), at("five"), [0])).rejects.toMatchObject({
      code: "dataset/exists",
    });
    expect(existsSync(at("bad"))).toBe(false);
    const five = await openLeRobotDataset(at("five"));
    await expectTiny(five);
    await five.close();
  });
});

describe("merging", () => {
  test("numbers episodes on and finds tasks by their text", async () => {
    await writeTiny(at("a"), [2, 3]);
    const writer = await createLeRobotDataset(at("b"), {
      fps: 10,
      robotType: "panda",
      features: TINY_FEATURES,
    });
    const source = await openLeRobotDataset(at("a"));
    const zeros = (shape: number[]) => ({ data: new Float32Array(shape.reduce((x, y) => x * y)), shape });
    for (const task of ["a new one", ""]) {
      await writer.addEpisode({
        task,
        frames: 1,
        columns: {
          joint_position: zeros([1, 3]),
          gripper_position: zeros([1, 1]),
          actions: zeros([1, 4]),
          pose: zeros([1, 2, 2]),
          success: { data: Uint8Array.of(1), shape: [1] },
          step: { data: BigInt64Array.of(9n), shape: [1] },
        },
        images: {
          "observation.images.wrist": [
            (await source.sample(0))["observation.images.wrist"] as NdArray<Uint8Array>,
          ],
        },
      });
    }
    await writer.finalize();
    await source.close();
    const result = await mergeLeRobotDatasets([at("a"), at("b"), at("a")], at("merged"));
    expect(result).toEqual({ dir: at("merged"), episodes: 6, frames: 12, tasks: 3 });
    const merged = await openLeRobotDataset(at("merged"));
    expect(merged.episodes.map((e) => [e.index, e.from, e.to, e.tasks[0]])).toEqual([
      [0, 0, 2, "lift the ä cup"],
      [1, 2, 5, ""],
      [2, 5, 6, "a new one"],
      [3, 6, 7, ""],
      [4, 7, 9, "lift the ä cup"],
      [5, 9, 12, ""],
    ]);
    expect([...merged.tasks]).toEqual([
      [0, "lift the ä cup"],
      [1, ""],
      [2, "a new one"],
    ]);
    const ints = async (name: string) => Array.from((await merged.column(name)).data, Number);
    expect(await ints("task_index")).toEqual([0, 0, 1, 1, 1, 2, 1, 0, 0, 1, 1, 1]);
    expect(await ints("episode_index")).toEqual([0, 0, 1, 1, 1, 2, 3, 4, 4, 5, 5, 5]);
    expect(await ints("index")).toEqual(Array.from({ length: 12 }, (_, i) => i));
    expect(await origins(merged)).toEqual([0, 1, 0, 0, 0, 1]);
    await merged.close();
  });

  test("names what differs, expected and found", async () => {
    const other = async (name: string, change: object) => {
      const writer = await createLeRobotDataset(at(name), {
        fps: 10,
        robotType: "panda",
        features: { actions: { dtype: "float32", shape: [2] } },
        ...change,
      });
      await writer.addEpisode({
        task: "",
        frames: 1,
        columns: Object.fromEntries(
          Object.entries(
            (change as { features?: Record<string, { shape: number[] }> }).features ?? {
              actions: { shape: [2] },
            },
          ).map(([key, { shape }]) => [key, { data: new Float32Array(shape[0]!), shape: [1, ...shape] }]),
        ),
      });
      await writer.finalize();
      return at(name);
    };
    const base = await other("base", {});
    const features = (shape: number[], more = {}) => ({
      features: { actions: { dtype: "float32", shape }, ...more },
    });
    const refused = async (change: object, message: string) => {
      const dir = await other("other", change);
      await expect(mergeLeRobotDatasets([base, dir], at("bad"))).rejects.toThrow(message);
      rmSync(dir, { recursive: true });
    };
    await refused({ fps: 15 }, `fps: expected 10 as in ${base}, found 15 in ${at("other")}`);
    await refused({ robotType: "aloha" }, 'robot_type: expected "panda"');
    await refused(features([3]), "feature 'actions': shape: expected [2] as in");
    await refused(
      features([2], { state: { dtype: "float32", shape: [1] } }),
      "feature 'state': expected no such feature as in",
    );
    await expect(mergeLeRobotDatasets([base], at("bad"))).rejects.toThrow(
      "expected at least two datasets, found 1",
    );
    expect(existsSync(at("bad"))).toBe(false);
  });
});

describe("converting", () => {
  test("many small files become one, values and bytes of images unchanged", async () => {
    await writeTiny(at("small"), [2, 3, 4], { commit: "episode" });
    expect(readdirSync(at("small/data/chunk-000")).length).toBe(3);
    await convertLeRobotDataset(at("small"), at("compact"));
    expect(readdirSync(at("compact/data/chunk-000")).length).toBe(1);
    expect(readdirSync(at("compact")).sort()).toEqual(["data", "meta"]);
    const compact = await openLeRobotDataset(at("compact"));
    await expectTiny(compact);
    await compact.close();
  });

  test("images to videos and back, with or without cameras", async () => {
    await writeTiny(at("images"), [3, 4]);
    await convertLeRobotDataset(at("images"), at("videos"), {
      storage: "video",
      video: { codec: "h264", crf: 1 },
    });
    const videos = await openLeRobotDataset(at("videos"));
    expect(videos.features["observation.images.wrist"]!.dtype).toBe("video");
    expect(readdirSync(at("videos/videos/observation.images.wrist/chunk-000"))).toEqual([
      "file-000.mp4",
      "file-001.mp4",
    ]);
    await convertLeRobotDataset(at("videos"), at("back"), { storage: "image" });
    const back = await openLeRobotDataset(at("back"));
    expect(back.info.videoPath).toBeNull();
    for (let i = 0; i < 7; i++) {
      // PNGs of what the decoder gives: nothing is lost on the way back.
      const camera = "observation.images.wrist";
      const [a, b] = [await videos.sample(i), await back.sample(i)].map((s) => (s[camera] as NdArray).data);
      expect(a).toEqual(b);
      expect(Math.abs(Number(a![100]) - 100)).toBeLessThan(3);
    }
    await convertLeRobotDataset(at("images"), at("blind"), { cameras: [] });
    expect((await openLeRobotDataset(at("blind"))).cameras).toEqual([]);
    await expect(convertLeRobotDataset(at("images"), at("bad"), { cameras: ["wrist"] })).rejects.toThrow(
      "camera 'wrist' is not in this dataset",
    );
    await videos.close();
    await back.close();
  });
});
