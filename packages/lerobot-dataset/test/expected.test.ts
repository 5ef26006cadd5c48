/** @file Every recorded item of the shared LeRobot datasets, as LeRobot's own `__getitem__` returned it. */
import { createHash } from "node:crypto";
import type { NdArray } from "@insula/model-types";
import { describeShared, sharedJson, sharedPath } from "@insula/test-kit";
import { afterAll, describe, expect, test } from "vitest";
import { openLeRobotDataset } from "../src/index.js";
import { openVideo } from "../src/video/video-file.js";

interface Pixels {
  sha256: string;
  mean: number[];
  grid8x8: number[][][];
}
interface Expected {
  num_frames: number;
  num_episodes: number;
  horizon: number;
  fps: number;
  grid8x8: { rows: number[]; cols: number[] };
  tasks: Record<string, string>;
  episodes: {
    episode_index: number;
    from_index: number;
    to_index: number;
    task: string;
    data_file: string;
    videos?: Record<string, { file: string; from_timestamp?: number }>;
  }[];
  items: {
    index: number;
    lerobot_index: number;
    episode_index: number;
    frame_index: number;
    timestamp: number;
    task_index: number;
    task: string;
    joint_position: number[];
    gripper_position: number;
    actions: number[][];
    actions_is_pad: boolean[];
    cameras: Record<
      string,
      { pyav?: Pixels; png?: Pixels; file?: string; file_timestamp?: number; yuv420p_sha256?: string }
    >;
  }[];
}

const sha256 = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");

/** RGB at the recorded grid points, flat. */
function gridOf({ data, shape }: NdArray, { rows, cols }: Expected["grid8x8"]): number[] {
  const width = shape[1]!;
  return rows.flatMap((r) =>
    cols.flatMap((c) => [...data.slice((r * width + c) * 3, (r * width + c) * 3 + 3)].map(Number)),
  );
}

function meanOf({ data }: NdArray): number[] {
  const sums = [0, 0, 0];
  for (let i = 0; i < data.length; i++) sums[i % 3]! += Number(data[i]);
  return sums.map((s) => s / (data.length / 3));
}

const difference = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, x, i) => sum + Math.abs(x - b[i]!), 0) / a.length;

describeShared("the shared datasets", () => {
  for (const name of [
    "droid_subset_v30",
    "droid_subset_v30_multifile",
    "droid_subset_v21",
    "droid_image_v30",
  ]) {
    describe(name, async () => {
      const root = sharedPath("data", "lerobot", name);
      const expected = sharedJson<Expected>("data", "lerobot", name, "expected.json");
      const dataset = await openLeRobotDataset(root);
      afterAll(() => dataset.close());

      test("episodes, tasks and files", () => {
        expect(dataset.totalFrames).toBe(expected.num_frames);
        expect(dataset.episodes).toHaveLength(expected.num_episodes);
        expect(dataset.fps).toBe(expected.fps);
        expect(Object.fromEntries(dataset.tasks)).toEqual(expected.tasks);
        for (const [i, e] of expected.episodes.entries()) {
          const found = dataset.episodes[i]!;
          expect([found.index, found.from, found.to]).toEqual([e.episode_index, e.from_index, e.to_index]);
          expect(found.tasks).toEqual([e.task]);
          expect(found.data.path).toBe(e.data_file);
          for (const [camera, { file, from_timestamp = 0 }] of Object.entries(e.videos ?? {})) {
            expect(found.videos[camera]).toEqual({ path: file, fromTimestamp: from_timestamp });
          }
        }
      });

      test("every recorded item: numbers exactly, pixels as PyAV or Pillow decoded them", async () => {
        for (const item of expected.items) {
          const sample = await dataset.sample(item.index, { actionHorizon: expected.horizon });
          const where = `${name}[${item.index}]`;
          const numbers = (key: string): number[] =>
            Array.from((sample[key] as NdArray).data as Float32Array);
          expect(sample["index"], where).toBe(item.lerobot_index);
          for (const key of ["episode_index", "frame_index", "timestamp", "task_index", "task"] as const) {
            expect(sample[key], `${where}.${key}`).toBe(item[key]);
          }
          expect(numbers("joint_position"), where).toEqual(item.joint_position);
          expect(numbers("gripper_position"), where).toEqual([item.gripper_position]);
          expect((sample["actions"] as NdArray).shape).toEqual([expected.horizon, 8]);
          expect(numbers("actions"), where).toEqual(item.actions.flat());
          expect(numbers("actions_is_pad"), where).toEqual(item.actions_is_pad.map(Number));

          for (const [camera, recorded] of Object.entries(item.cameras)) {
            const image = sample[camera] as NdArray<Uint8Array>;
            const pixels = (recorded.png ?? recorded.pyav)!;
            const grid = gridOf(image, expected.grid8x8);
            for (const [i, level] of pixels.grid8x8.flat(2).entries()) {
              expect(Math.abs(grid[i]! - level), `${where}.${camera} grid`).toBeLessThanOrEqual(4);
            }
            expect(meanOf(image)).toBeAllclose(pixels.mean, { atol: 1 });
            expect(sha256(image.data), `${where}.${camera}`).toBe(pixels.sha256);
          }
        }
      });

      test("no recorded frame is nearer to a neighbour's", async () => {
        for (const item of expected.items) {
          const { from, to } = dataset.episodes[item.episode_index]!;
          for (const [camera, recorded] of Object.entries(item.cameras)) {
            const want = (recorded.png ?? recorded.pyav)!.grid8x8.flat(2);
            const far = async (index: number): Promise<number> => {
              const sample = await dataset.sample(index, { cameras: [camera] });
              return difference(gridOf(sample[camera] as NdArray, expected.grid8x8), want);
            };
            const own = await far(item.index);
            for (const neighbour of [item.index - 1, item.index + 1]) {
              if (neighbour >= from && neighbour < to) expect(own).toBeLessThanOrEqual(await far(neighbour));
            }
          }
        }
      });

      if (!Object.values(dataset.features).some((f) => f.dtype === "video")) return;
      test("decoded planes before colour conversion are those recorded", async () => {
        for (const { file, file_timestamp, yuv420p_sha256 } of expected.items.flatMap((item) =>
          Object.values(item.cameras),
        )) {
          const video = await openVideo(`${root}/${file}`);
          const found = await video.decode(file_timestamp!, async (picture) => sha256(picture.toBuffer()));
          expect(found, `${file} at ${file_timestamp}`).toBe(yuv420p_sha256);
          await video.close();
        }
      });
    });
  }
});
