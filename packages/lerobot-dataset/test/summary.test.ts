/** @file The summary of a dataset, against numbers known otherwise. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { describeShared, sharedJson, sharedPath } from "@insula/test-kit";
import { expect, test } from "vitest";
import { openLeRobotDataset, summarizeLeRobotDataset } from "../src/index.js";
import { tempFolder } from "./fixtures.js";
import { rawDataset, writeRaw } from "./raw-dataset.js";

const folder = tempFolder();

test("counts, cameras, ranges, tasks and what is missing", async () => {
  const raw = rawDataset([6, 9, 5], "v2.1", true);
  raw.episodes[1]!.state[3]![1] = -5;
  const dir = join(folder, "d");
  writeRaw(dir, raw);
  const video = "videos/chunk-000/cam/episode_000000.mp4";
  rmSync(join(dir, video));
  const summary = await summarizeLeRobotDataset(dir);
  expect(summary).toMatchObject({
    version: "v2.1",
    robotType: "panda",
    fps: 10,
    episodes: 3,
    frames: 20,
    seconds: 2,
    lengths: { min: 5, median: 6, max: 9 },
    cameras: [{ name: "cam", stored: "video", height: 48, width: 64, codec: "mpeg4", fps: 10 }],
    tasks: [
      { index: 0, task: "pick up the cup", episodes: 2, frames: 11 },
      { index: 1, task: "put it down", episodes: 1, frames: 9 },
    ],
    missing: [video],
  });
  const state = summary.features.find((feature) => feature.name === "state")!;
  expect(state).toMatchObject({ dtype: "float32", shape: [2], names: ["x", "y"] });
  expect([state.min![1], state.max![1]]).toEqual([-5, 8 / 64]);
  const bytes = Object.values(summary.bytes);
  expect(bytes.every((count) => count > 0)).toBe(true);
  const quick = await summarizeLeRobotDataset(dir, { ranges: false });
  expect(quick.features.every((feature) => feature.min === undefined)).toBe(true);
  expect(quick.tasks).toEqual(summary.tasks);
});

describeShared("the real DROID episodes", () => {
  test("ranges are those of the columns, task counts those of LeRobot", async () => {
    const root = sharedPath("data/lerobot/droid_subset_v30_multifile");
    const summary = await summarizeLeRobotDataset(root);
    expect(summary.cameras.map(({ codec, height, width }) => [codec, height, width])).toEqual(
      new Array(3).fill(["h264", 192, 320]),
    );
    const dataset = await openLeRobotDataset(root);
    const { data } = await dataset.column("actions");
    const actions = summary.features.find((feature) => feature.name === "actions")!;
    for (let d = 0; d < 8; d++) {
      const column = (data as Float32Array).filter((_, i) => i % 8 === d);
      expect([actions.min![d], actions.max![d]]).toEqual([Math.min(...column), Math.max(...column)]);
    }
    await dataset.close();
    const { episodes } = sharedJson<{ episodes: { task: string; from_index: number; to_index: number }[] }>(
      "data/lerobot/droid_subset_v30_multifile/expected.json",
    );
    for (const { task, episodes: count, frames } of summary.tasks) {
      const of = episodes.filter((episode) => episode.task === task);
      expect([count, frames]).toEqual([of.length, of.reduce((sum, e) => sum + e.to_index - e.from_index, 0)]);
    }
  });
});
