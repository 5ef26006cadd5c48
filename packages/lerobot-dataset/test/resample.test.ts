import { join } from "node:path";
import type { NdArray } from "@insula/model-types";
import { describeShared, sharedPath } from "@insula/test-kit";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import {
  createLeRobotDataset,
  createLoader,
  filterFrames,
  openLeRobotDataset,
  resampleFps,
  scanEpisodes,
} from "../src/index.js";
import { png, tempFolder, writeTiny } from "./fixtures.js";

/** Ten frames a second; `actions` is linear in time, so that interpolation must find it exactly. */
async function ramp(lengths: readonly number[], fps = 10) {
  const dir = join(tempFolder(), "set");
  const writer = await createLeRobotDataset(dir, {
    fps,
    robotType: "panda",
    features: {
      camera: { dtype: "image", shape: [6, 8, 3], names: ["height", "width", "channel"] },
      actions: { dtype: "float32", shape: [2], names: null },
      angle: { dtype: "float64", shape: [1], names: null },
      step: { dtype: "int64", shape: [1], names: null },
    },
  });
  for (const [e, frames] of lengths.entries()) {
    await writer.addEpisode({
      task: `task ${e}`,
      frames,
      columns: {
        actions: {
          data: Float32Array.from(
            { length: frames * 2 },
            (_, i) => e * 100 + Math.floor(i / 2) * (1 + (i % 2)),
          ),
          shape: [frames, 2],
        },
        angle: { data: Float64Array.from({ length: frames }, (_, i) => i * 0.5), shape: [frames, 1] },
        step: { data: BigInt64Array.from({ length: frames }, (_, i) => BigInt(i)), shape: [frames, 1] },
      },
      images: { camera: await Promise.all(Array.from({ length: frames }, (_, i) => png(e, i))) },
    });
  }
  await writer.finalize();
  const set = await openLeRobotDataset(dir);
  onTestFinished(() => set.close());
  return set;
}

const numbersOf = (x: unknown): number[] => [...(x as NdArray).data].map(Number);

test("numbers are those at the new frames' times, everything else is the nearest frame's", async () => {
  const set = await ramp([5, 3]); // 0 … 0.4 s, 0 … 0.2 s
  const view = await resampleFps(set, 15);
  expect(view.episodes.map(({ from, to }) => [from, to])).toEqual([
    [0, 7],
    [7, 11],
  ]);
  expect(view.totalFrames).toBe(11);
  for (const index of [0, 1, 2, 5, 6, 8, 10]) {
    const sample = await view.sample(index);
    const [episode, j] = index < 7 ? [0, index] : [1, index - 7];
    const frame = (j / 15) * 10;
    expect(sample).toMatchObject({ index, frame_index: j, episode_index: episode, task: `task ${episode}` });
    expect(sample["timestamp"]).toBeCloseTo(j / 15, 6);
    expect(numbersOf(sample["actions"])).toBeAllclose([episode * 100 + frame, episode * 100 + frame * 2], {
      atol: 1e-5,
    });
    expect(numbersOf(sample["angle"])[0]).toBeCloseTo(frame / 2, 6);
    // frame 0.666… is nearer to 1, 1.333… to 1
    expect(numbersOf(sample["step"])).toEqual([Math.round(frame)]);
    expect([...(sample["camera"] as NdArray).data.slice(0, 2)]).toEqual([Math.round(frame), episode]);
    expect(view.locate(index)).toEqual({ dataset: set.root, episode, frame: j });
  }
  await expect(view.sample(11)).rejects.toMatchObject({ code: "dataset/index" });
});

test("chunks follow the new rate and end with the episode", async () => {
  const view = await resampleFps(await ramp([5, 3]), 20);
  const sample = await view.sample(6, { actionHorizon: 4 });
  expect(numbersOf(sample["actions"]).filter((_, i) => i % 2 === 0)).toBeAllclose([3, 3.5, 4, 4], {
    atol: 1e-5,
  });
  expect(numbersOf(sample["actions_is_pad"])).toEqual([0, 0, 0, 1]);
  const other = await view.sample(6, { actionHorizon: 2, actionKeys: ["action"] });
  expect((other["action"] as NdArray).shape).toEqual([2, 2]);
  expect(other["actions"]).toBeUndefined();
});

test("every k-th frame exactly, at a k-th of the rate; the same frames at the same rate", async () => {
  const set = await ramp([11, 4]);
  const half = await resampleFps(set, 5);
  expect(half.totalFrames).toBe(6 + 2);
  const actions = await set.column("actions");
  const thinned = [0, 2, 4, 6, 8, 10, 11, 13].flatMap((i) => [...actions.data.slice(i * 2, i * 2 + 2)]);
  expect([...(await half.column("actions")).data]).toEqual(thinned);
  const same = await resampleFps(set, 10);
  for (const name of [
    "actions",
    "angle",
    "step",
    "task_index",
    "index",
    "frame_index",
    "episode_index",
    "timestamp",
  ]) {
    expect((await same.column(name)).data).toEqual((await set.column(name)).data);
  }
});

test("displacements per step are scaled so that the path stays; named features are not interpolated", async () => {
  const set = await ramp([9]);
  const view = await resampleFps(set, 5, { perStep: { actions: [0] }, nearest: ["angle"] });
  expect([...(await view.column("actions")).data].slice(0, 4)).toEqual([0, 0, 4, 4]); // 2 steps of 2; 4 as recorded
  const finer = await resampleFps(set, 15, { nearest: ["angle"] });
  expect([...(await finer.column("angle")).data].slice(0, 4)).toEqual([0, 0.5, 0.5, 1]);
});

test("any rates: as many frames as fit, values between their neighbours, times ascending", async () => {
  const set = await ramp([7, 1, 4], 10);
  await fc.assert(
    fc.asyncProperty(fc.double({ min: 0.5, max: 60, noNaN: true }), async (fps) => {
      const view = await resampleFps(set, fps);
      const { data } = await view.column("actions");
      for (const [e, { from, to, length }] of view.episodes.entries()) {
        const seconds = (set.episodes[e]!.length - 1) / 10;
        expect(to - from).toBe(length);
        expect((length - 1) / fps).toBeLessThanOrEqual(seconds + 2e-4);
        expect(length / fps).toBeGreaterThan(seconds);
        for (let j = 0; j < length; j++) {
          expect(data[(from + j) * 2]).toBeCloseTo(e * 100 + Math.min((j / fps) * 10, seconds * 10), 2);
        }
      }
    }),
    { numRuns: 20 },
  );
});

test("a resampled dataset can be filtered and scanned", async () => {
  const view = await resampleFps(await ramp([5, 3]), 20);
  const filtered = await filterFrames(view, { tasks: ["task 1"] });
  expect(filtered.ranges).toEqual([{ episode: 1, from: 0, to: 5 }]);
  expect(numbersOf((await filtered.sample(1))["actions"])[0]).toBeCloseTo(100.5, 5);
  const batches = [];
  for await (const batch of scanEpisodes(view, ["actions"], { episodes: [1] })) batches.push(batch);
  expect(batches).toHaveLength(1);
  expect(numbersOf(batches[0]!.columns["actions"])).toEqual(
    numbersOf(await view.column("actions")).slice(18),
  );
});

test("workers are not given the recorded rate by mistake", async () => {
  const view = await resampleFps(await ramp([5, 3]), 20);
  expect([view.fps, view.info.fps, view.info.totalFrames]).toEqual([20, 20, view.totalFrames]);
  expect(() => createLoader(view, { batchSize: 2, numWorkers: 1 })).toThrow("this source is not a dataset");
});

test("what cannot be resampled is said", async () => {
  const dir = join(tempFolder(), "set");
  await writeTiny(dir, [3, 2]);
  const set = await openLeRobotDataset(dir, { cameras: [] });
  for (const fps of [0, -5, Number.NaN])
    await expect(resampleFps(set, fps)).rejects.toMatchObject({ code: "resample/fps" });
  await expect(resampleFps(set, 5, { nearest: ["yaw"] })).rejects.toThrow(
    "'yaw' is not one of the numeric features",
  );
  await expect(resampleFps(set, 5, { perStep: { actions: [4] } })).rejects.toThrow(
    "perStep.actions: dim 4 of 4",
  );
  await expect(resampleFps(set, 5, { perStep: { step: [0] } })).rejects.toThrow(
    "expected floats, found int64",
  );
  const stuck = {
    ...set,
    column: async (name: string) =>
      name === "timestamp" ? { data: new Float32Array(5), shape: [5] } : set.column(name),
  };
  await expect(resampleFps(stuck, 5)).rejects.toThrow("episode 0, frame 1: timestamp 0 does not follow 0");
});

describeShared("real DROID episodes", () => {
  test("at 15 fps: video frames and numbers", async () => {
    const set = await openLeRobotDataset(sharedPath("data", "lerobot", "droid_subset_v30"), {
      cameras: ["wrist_image_left"],
    });
    const view = await resampleFps(set, 15);
    expect(view.episodes.map((e) => e.length)).toEqual(set.episodes.map((e) => (e.length - 1) * 3 + 1));
    const at = view.episodes[2]!.from + 3 * 7;
    const [fine, recorded, next] = [
      await view.sample(at),
      await set.sample(set.episodes[2]!.from + 7),
      await view.sample(at + 1),
    ];
    for (const key of ["actions", "joint_position", "gripper_position", "wrist_image_left"]) {
      expect(fine[key]).toEqual(recorded[key]);
    }
    expect(next["wrist_image_left"]).toEqual(recorded["wrist_image_left"]); // a third of the way: still nearest
    expect(fine["task"]).toBe(recorded["task"]);
    await set.close();
  });
});
