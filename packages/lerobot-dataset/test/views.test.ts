import { join } from "node:path";
import type { NdArray } from "@insula/model-types";
import { describeShared, sharedPath } from "@insula/test-kit";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  createLeRobotDataset,
  createLoader,
  type FilterReason,
  filterFrames,
  filterSummary,
  nonIdleRanges,
  openLeRobotDataset,
  parseFilterRanges,
} from "../src/index.js";
import { tempFolder, tinyValue, writeTiny } from "./fixtures.js";

const vector = (n: number) => ({ dtype: "float32" as const, shape: [n], names: null });

/** A dataset of numbers only; `action(row, dim)` counts rows through all episodes. */
async function numbers(lengths: readonly number[], action: (row: number, dim: number) => number, width = 8) {
  const dir = join(tempFolder(), "set");
  const features = { actions: vector(width), success: { dtype: "bool" as const, shape: [1], names: null } };
  const writer = await createLeRobotDataset(dir, { fps: 15, robotType: "panda", features });
  let row = 0;
  for (const [e, frames] of lengths.entries()) {
    const data = Float32Array.from({ length: frames * width }, (_, i) =>
      action(row + Math.floor(i / width), i % width),
    );
    await writer.addEpisode({
      task: ["pick", "place", ""][e % 3]!,
      frames,
      columns: {
        actions: { data, shape: [frames, width] },
        success: {
          data: Uint8Array.from({ length: frames }, (_, i) => +(e % 2 === 1 && i === frames - 1)),
          shape: [frames],
        },
      },
    });
    row += frames;
  }
  await writer.finalize();
  return openLeRobotDataset(dir);
}

/** openpi's script, line for line in its numpy terms. */
function openpiRanges(velocities: readonly (readonly number[])[]): [number, number][] {
  const n = velocities.length;
  const isIdle = velocities.map(
    (v, t) => t > 0 && v.every((x, d) => Math.abs(x - velocities[t - 1]![d]!) < 1e-3),
  );
  const segments = (mask: readonly boolean[]): [number, number][] => {
    const padded = [false, ...mask, false].map(Number);
    const diff = padded.slice(1).map((v, i) => v - padded[i]!);
    const starts = diff.flatMap((v, i) => (v === 1 ? [i] : []));
    const ends = diff.flatMap((v, i) => (v === -1 ? [i] : []));
    return starts.map((s, i) => [s, ends[i]!]);
  };
  const keep = new Array<boolean>(n).fill(true);
  for (const [s, e] of segments(isIdle)) if (e - s >= 7) keep.fill(false, s, e);
  return segments(keep)
    .filter(([s, e]) => e - s >= 16)
    .map(([s, e]) => [s, e - 10]);
}

test("idle ranges are openpi's, for any pattern of pauses", () => {
  const moves = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 30 })), {
    minLength: 1,
    maxLength: 12,
  });
  fc.assert(
    fc.property(moves, fc.integer({ min: 0, max: 6 }), (pattern, dim) => {
      const velocities: number[][] = [];
      let value = 0;
      for (const [moving, frames] of pattern) {
        for (let i = 0; i < frames; i++) {
          if (moving) value += 0.002;
          // the gripper, an eighth dim, does not count
          velocities.push(
            Array.from({ length: 8 }, (_, d) => (d === dim ? value : d === 7 ? velocities.length % 2 : 0.5)),
          );
        }
      }
      const values = { data: Float64Array.from(velocities.flat()), shape: [velocities.length, 8] };
      expect(nonIdleRanges(values)).toEqual(openpiRanges(velocities.map((v) => v.slice(0, 7))));
    }),
    { numRuns: 200 },
  );
});

test("the edges of the idle rule: first frame, 6 and 7 still frames, 15 and 16 kept", () => {
  const run = (...parts: [moving: boolean, frames: number][]) => {
    let value = 0;
    const data = parts.flatMap(([moving, n]) => Array.from({ length: n }, () => (value += moving ? 1 : 0)));
    return nonIdleRanges({ data: Float64Array.from(data), shape: [data.length, 1] }, { dims: 1 });
  };
  expect(run([true, 16])).toEqual([[0, 6]]);
  expect(run([true, 15])).toEqual([]);
  expect(run([true, 10], [false, 6], [true, 10])).toEqual([[0, 16]]); // a short pause stays
  expect(run([true, 20], [false, 7], [true, 20])).toEqual([
    [0, 10],
    [27, 37],
  ]);
  expect(run([false, 40])).toEqual([]); // the first frame alone is no run of 16
  expect(run([true, 18], [false, 9])).toEqual([[0, 8]]);
});

test("every filter says which frames it drops and why, and the counts add up", async () => {
  const set = await numbers([20, 30, 10, 40], (row, dim) => (dim === 7 ? row : Math.sin(row * (dim + 1))));
  const of = async (filter: Parameters<typeof filterFrames>[1]) => {
    const view = await filterFrames(set, filter);
    const { report } = view;
    const dropped = Object.values(report.dropped).reduce((a, b) => a + b, 0);
    expect(report.kept + dropped).toBe(100);
    expect(view.totalFrames).toBe(report.kept);
    return view;
  };
  const reasons = async (filter: Parameters<typeof filterFrames>[1]) =>
    Object.entries((await of(filter)).report.dropped).filter(([, n]) => n > 0) as [FilterReason, number][];
  expect(await reasons({})).toEqual([]);
  expect(await reasons({ episodes: [1, 3] })).toEqual([["episodes", 30]]);
  expect(await reasons({ tasks: ["pick"] })).toEqual([["tasks", 40]]);
  expect(await reasons({ tasks: /^p/g })).toEqual([["tasks", 10]]);
  expect(await reasons({ success: true })).toEqual([["success", 30]]);
  expect(await reasons({ success: false, successColumn: "success" })).toEqual([["success", 70]]);
  expect(
    await reasons({
      ranges: new Map([
        [0, [[2, 5]]],
        [3, [[0, 99]]],
      ]),
    }),
  ).toEqual([["ranges", 57]]);
  // each kept run loses its last ten frames; 10 frames are no run of 16
  expect(await reasons({ idle: true })).toEqual([["idle", 40]]);
  const first = { columns: ["actions"], keep: (_: unknown, at: { frame: number }) => at.frame < 3 };
  expect(await reasons({ episodes: [0, 1, 2], success: true, where: first })).toEqual([
    ["episodes", 40],
    ["success", 30],
    ["where", 27],
  ]);
  const view = await of({
    episodes: [0, 1],
    where: { columns: ["actions"], keep: (row) => Number(row["actions"]!.data[7]) % 25 < 2 },
  });
  expect(view.ranges).toEqual([
    { episode: 0, from: 0, to: 2 },
    { episode: 1, from: 5, to: 7 },
  ]);
  expect(filterSummary(view.report)).toBe(
    "4 of 100 frames in 2 of 4 episodes; dropped: episodes 50, where 46",
  );
});

test("a view's frames are the dataset's, chunks follow the episode beyond a kept range", async () => {
  const set = await numbers([20, 30], (row) => row);
  const view = await filterFrames(set, {
    ranges: new Map([
      [0, [[17, 19]]],
      [
        1,
        [
          [4, 5],
          [28, 30],
        ],
      ],
    ]),
  });
  const seen: unknown[] = [];
  for (let i = 0; i < view.totalFrames; i++) {
    const sample = await view.sample(i, { actionHorizon: 3 });
    const { data } = sample["actions"] as NdArray;
    expect(sample["index"]).toBe(i);
    expect(view.locate(i)).toMatchObject({ episode: sample["episode_index"], frame: sample["frame_index"] });
    seen.push([
      sample["episode_index"],
      sample["frame_index"],
      data[0],
      data[8],
      data[16],
      ...(sample["actions_is_pad"] as NdArray).data,
    ]);
  }
  expect(seen).toEqual([
    [0, 17, 17, 18, 19, 0, 0, 0],
    [0, 18, 18, 19, 19, 0, 0, 1],
    [1, 4, 24, 25, 26, 0, 0, 0],
    [1, 28, 48, 49, 49, 0, 0, 1],
    [1, 29, 49, 49, 49, 0, 1, 1],
  ]);
  await expect(view.sample(5)).rejects.toMatchObject({ code: "dataset/index" });
});

test("a loader visits a view", async () => {
  const set = await numbers([20, 30], (row) => row);
  const view = await filterFrames(set, { episodes: [1], idle: true });
  const loader = createLoader(view, { batchSize: 5, seed: 3, epochs: 1 });
  const frames: number[] = [];
  for await (const batch of loader) frames.push(...batch.map((s) => s["frame_index"] as number));
  expect(frames.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  expect(frames).not.toEqual(frames.toSorted((a, b) => a - b));
});

test("what cannot be filtered is said", async () => {
  const dir = join(tempFolder(), "set");
  await writeTiny(dir, [3, 2]);
  const set = await openLeRobotDataset(dir, { cameras: [] });
  await expect(filterFrames(set, { episodes: [0, 7] })).rejects.toThrow(
    "episode 7 is not one of its 2 episodes",
  );
  await expect(filterFrames(set, { tasks: ["lift the ä cub"] })).rejects.toThrow(
    "did you mean 'lift the ä cup'?",
  );
  await expect(filterFrames(set, { tasks: /drop/ })).rejects.toThrow("/drop/ matches none of 2 tasks");
  await expect(filterFrames(set, { idle: true })).rejects.toThrow("actions of at least 7 dims, found 4");
  await expect(filterFrames(set, { idle: { dims: 3, column: "joint_position" } })).rejects.toMatchObject({
    code: "filter/empty",
    message: expect.stringContaining("0 of 5 frames in 0 of 2 episodes; dropped: idle 5"),
  });
  expect((await filterFrames(set, { success: true })).totalFrames).toBe(5); // the last frame of each succeeds
  const other = await numbers([4], () => 0);
  await expect(filterFrames(other, { success: true, successColumn: "sucess" })).rejects.toThrow(
    "did you mean 'success'?",
  );
  const [sample] = [await (await filterFrames(set, { episodes: [1] })).sample(1)];
  expect((sample!["joint_position"] as NdArray).data[2]).toBe(tinyValue(1, 1, 2));
});

test("openpi's filter file", () => {
  const episodes = [
    { index: 0, length: 50 },
    { index: 1, length: 20 },
  ] as unknown as Parameters<typeof parseFilterRanges>[1];
  const text = JSON.stringify({
    "rec--a": [
      [30, 40],
      [0, 6],
      [5, 9],
    ],
    "rec--b": [[3, 99]],
    "rec--c": [[0, 1]],
  });
  const keyOf = ({ index }: { index: number }) => `rec--${"ab"[index]}`;
  expect([...parseFilterRanges(text, episodes, { keyOf })]).toEqual([
    [
      0,
      [
        [0, 9],
        [30, 40],
      ],
    ],
    [1, [[3, 20]]],
  ]);
  expect([...parseFilterRanges('{"1": [[2, 4]]}', episodes)]).toEqual([[1, [[2, 4]]]]);
  const bad = (json: string) => () => parseFilterRanges(json, episodes, { file: "keep.json" });
  expect(bad("[")).toThrow("keep.json: not JSON");
  expect(bad("[]")).toThrow("keep.json: expected {");
  expect(bad('{"rec--a": []}')).toThrow("'rec--a' is not the episode_index of one of the 2 episodes");
  expect(bad('{"0": [[4, 2]]}')).toThrow(
    "keep.json: 0: expected [start, end] with 0 <= start <= end, found [4,2]",
  );
  expect(bad('{"0": [[0.5, 2]]}')).toThrow("found [0.5,2]");
  expect(bad('{"0": 3}')).toThrow("expected a list of ranges");
});

describeShared("real DROID episodes", () => {
  test("idle frames at 5 fps", async () => {
    const set = await openLeRobotDataset(sharedPath("data", "lerobot", "droid_subset_v30"), { cameras: [] });
    const view = await filterFrames(set, { idle: true });
    const { data } = await set.column("actions");
    const expected = set.episodes.flatMap(({ index, from, to }) => {
      const rows = Array.from({ length: to - from }, (_, t) =>
        [...data.slice((from + t) * 8, (from + t) * 8 + 7)].map(Number),
      );
      return openpiRanges(rows).map(([a, b]) => ({ episode: index, from: a, to: b }));
    });
    expect(view.ranges).toEqual(expected.filter(({ from, to }) => to > from));
    expect(view.totalFrames).toBeGreaterThan(100);
    expect(view.report.dropped.idle).toBe(614 - view.totalFrames);
  });
});
