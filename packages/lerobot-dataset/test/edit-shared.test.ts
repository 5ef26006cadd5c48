/** @file Real datasets converted, split and merged: equal to their sources in every number and every pixel. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { NdArray, Sample } from "@insula/model-types";
import { describeShared, sharedPath } from "@insula/test-kit";
import { expect, test } from "vitest";
import {
  appendToLeRobotDataset,
  convertLeRobotDataset,
  extractEpisodes,
  type LeRobotDataset,
  mergeLeRobotDatasets,
  openLeRobotDataset,
} from "../src/index.js";
import { tempFolder } from "./fixtures.js";

const folder = tempFolder();
const shared = (name: string) => sharedPath("data/lerobot", name);
const statsOf = (dir: string) => JSON.parse(readFileSync(join(dir, "meta/stats.json"), "utf8"));

/** Episode `a` of one dataset equals episode `b` of another; pixels of every `stride`-th frame. */
async function expectSame(
  [left, a]: [LeRobotDataset, number],
  [right, b]: [LeRobotDataset, number],
  stride: number,
): Promise<void> {
  const [x, y] = [left.episodes[a]!, right.episodes[b]!];
  expect(y.length).toBe(x.length);
  const own = Object.keys(left.features).filter((f) => !["index", "episode_index"].includes(f));
  for (const name of own) {
    if (left.cameras.includes(name)) continue;
    const dim = left.features[name]!.shape.reduce((p, d) => p * d, 1);
    const rows = async (d: LeRobotDataset, from: number) =>
      Array.from((await d.column(name)).data.slice(from * dim, (from + x.length) * dim), Number);
    expect(await rows(right, y.from)).toEqual(await rows(left, x.from));
  }
  for (let i = 0; i < x.length; i += stride) {
    const [p, q] = [await left.sample(x.from + i), await right.sample(y.from + i)];
    expect(q["task"]).toBe(p["task"]);
    for (const camera of left.cameras)
      expect(
        Buffer.compare((p[camera] as NdArray<Uint8Array>).data, (q[camera] as NdArray<Uint8Array>).data),
      ).toBe(0);
  }
}

describeShared("real datasets", () => {
  test("v2.1 to v3.0: video files are copied", async () => {
    const out = join(folder, "v30");
    const source = await openLeRobotDataset(shared("droid_subset_v21"));
    expect(await convertLeRobotDataset(source.root, out)).toMatchObject({
      episodes: 8,
      frames: 614,
      tasks: 5,
    });
    const copy = await openLeRobotDataset(out);
    expect(copy.info.codebaseVersion).toBe("v3.0");
    expect([...copy.tasks]).toEqual([...source.tasks]);
    for (let e = 0; e < 8; e++) {
      await expectSame([source, e], [copy, e], 25);
      for (const camera of source.cameras) {
        const file = (d: LeRobotDataset) => readFileSync(join(d.root, d.episodes[e]!.videos[camera]!.path));
        expect(Buffer.compare(file(source), file(copy))).toBe(0);
      }
    }
    await source.close();
    await copy.close();
    // LeRobot's own statistics of the same episodes, by its v3.0 writer.
    const [ours, theirs] = [statsOf(out), statsOf(shared("droid_subset_v30"))];
    for (const name of ["joint_position", "actions", "gripper_position", "timestamp", "frame_index"]) {
      for (const stat of ["min", "max", "mean", "std"]) {
        const scale = Math.max(...theirs[name].max.map(Math.abs), ...theirs[name].min.map(Math.abs));
        for (const [i, value] of theirs[name][stat].entries())
          expect(Math.abs(ours[name][stat][i] - value) / scale).toBeLessThan(1e-6);
      }
      expect(ours[name].count).toEqual(theirs[name].count);
    }
    for (const name of source.cameras)
      for (let c = 0; c < 3; c++)
        expect(Math.abs(ours[name].mean[c][0][0] - theirs[name].mean[c][0][0])).toBeLessThan(0.02); // Of other sampled frames.
  });

  test("v2.0 with a folder name of its own and a camera whose files are not there", async () => {
    const out = join(folder, "gr00t");
    await expect(convertLeRobotDataset(shared("v20_gr00t_robot_sim_PickNPlace"), out)).rejects.toThrow(
      /not there: videos\/chunk-000\/.* and \d+ more; download them, or leave out/,
    );
    const result = await convertLeRobotDataset(shared("v20_gr00t_robot_sim_PickNPlace"), out, {
      cameras: [],
    });
    expect(result).toMatchObject({ episodes: 5, frames: 2096 });
    const source = await openLeRobotDataset(shared("v20_gr00t_robot_sim_PickNPlace"), { cameras: [] });
    const copy = await openLeRobotDataset(out);
    const [a, b] = [await source.column("action"), await copy.column("action")];
    expect(b).toEqual(a);
    expect([...copy.tasks]).toEqual([...source.tasks]);
  });

  test("videos of another codec are refused, or encoded again", async () => {
    const cameras = ["wrist_image_left"];
    const [av1, h264] = [join(folder, "one-av1"), join(folder, "one-h264")];
    await extractEpisodes(shared("droid_subset_v30"), av1, [1], { cameras });
    await extractEpisodes(shared("droid_subset_v30_multifile"), h264, [1], { cameras });
    const both = join(folder, "both");
    await expect(mergeLeRobotDatasets([av1, h264], both)).rejects.toThrow(
      `feature 'wrist_image_left': video.codec: expected "av1" as in ${av1}, found "h264" in ${h264}`,
    );
    await mergeLeRobotDatasets([av1, h264], both, { encode: true, video: { codec: "h264", crf: 15 } });
    const merged = await openLeRobotDataset(both);
    expect(merged.features["wrist_image_left"]!.info!["video.codec"]).toBe("h264");
    const source = await openLeRobotDataset(h264);
    const { from, length } = merged.episodes[1]!;
    for (const i of [0, 5, length - 1]) {
      const [a, b] = [await source.sample(i), await merged.sample(from + i)].map(
        (s) => (s["wrist_image_left"] as NdArray<Uint8Array>).data,
      ) as [Uint8Array, Uint8Array];
      expect(a.reduce((sum, x, k) => sum + Math.abs(x - b[k]!), 0) / a.length).toBeLessThan(3);
    }
    await source.close();
    await merged.close();
    const writer = await appendToLeRobotDataset(av1);
    const { root, episodes, features } = await openLeRobotDataset(h264, { cameras: [] });
    const frames = episodes[0]!.length;
    const columns = Object.fromEntries(
      ["joint_position", "gripper_position", "actions"].map((name) => {
        const dim = features[name]!.shape[0]!;
        return [name, { data: new Float32Array(frames * dim), shape: [frames, dim] }];
      }),
    );
    const path = join(root, episodes[0]!.videos["wrist_image_left"]!.path);
    await expect(
      writer.addEpisode({ task: "", frames, columns, videos: { wrist_image_left: { path } } }),
    ).rejects.toThrow("expected video.codec av1 as in the dataset's other videos, found h264");
    await writer.abort();
  });

  test("episodes cut out of shared files and merged again are what they were", async () => {
    const original = shared("droid_subset_v30_multifile");
    const [even, odd, merged] = ["even", "odd", "merged"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    const cameras = ["wrist_image_left"];
    await extractEpisodes(original, even, [0, 2, 4, 6], { cameras });
    await extractEpisodes(original, odd, [1, 3, 5, 7], { cameras });
    expect(await mergeLeRobotDatasets([even, odd], merged)).toMatchObject({ episodes: 8, tasks: 5 });
    const source = await openLeRobotDataset(original, { cameras });
    const copy = await openLeRobotDataset(merged);
    for (const [e, origin] of [0, 2, 4, 6, 1, 3, 5, 7].entries()) {
      const { from, length } = source.episodes[origin]!;
      for (const i of [0, 7, length - 1]) {
        const [p, q] = [await source.sample(from + i), await copy.sample(copy.episodes[e]!.from + i)];
        expect(q["task"]).toBe(p["task"]);
        for (const key of ["actions", "joint_position", "wrist_image_left"]) {
          const bytes = (sample: Sample) => Buffer.from((sample[key] as NdArray).data.buffer);
          expect(Buffer.compare(bytes(p), bytes(q))).toBe(0);
        }
      }
    }
    await source.close();
    await copy.close();
    const [ours, theirs] = [statsOf(merged), statsOf(original)];
    for (const stat of ["min", "max", "mean", "std"])
      for (const [i, value] of theirs.actions[stat].entries())
        expect(ours.actions[stat][i]).toBeCloseTo(value, 6);
  });
});
