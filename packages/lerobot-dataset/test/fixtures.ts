/** @file Small datasets for the tests: written by the package's own writer, with values that encode their place. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NdArray } from "@insula/model-types";
import { afterAll, expect } from "vitest";
import type { LeRobotDataset } from "../src/index.js";
import { tinyValue } from "./tiny.js";

export { png, TINY_FEATURES, tinyEpisode, tinyValue, writeTiny } from "./tiny.js";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder, removed after the last test of this file; inside of tests, too. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "insula-lerobot-"));
  folders.push(folder);
  return folder;
}

/** Check every value of a dataset of {@link tinyEpisode}s, numbered as they were added. */
export async function expectTiny(dataset: LeRobotDataset): Promise<void> {
  for (const { index: e, from, to } of dataset.episodes) {
    for (let index = from; index < to; index++) {
      const frame = index - from;
      const sample = await dataset.sample(index);
      const values = (key: string) => Array.from((sample[key] as NdArray).data as Float32Array);
      expect(values("joint_position")).toEqual([0, 1, 2].map((d) => tinyValue(e, frame, d)));
      expect(values("gripper_position")).toEqual([tinyValue(e, frame, 0)]);
      expect(values("pose")).toEqual([0, 1, 2, 3].map((d) => tinyValue(e, frame, d)));
      expect((sample["pose"] as NdArray).shape).toEqual([2, 2]);
      expect(values("success")).toEqual([Number(index === to - 1)]);
      expect(values("step")).toEqual([BigInt(frame)]);
      expect(values("observation.images.wrist").slice(0, 4)).toEqual([frame, e, 7, 100]);
      expect(sample).toMatchObject({
        task: e % 2 ? "" : "lift the ä cup",
        task_index: e % 2,
        episode_index: e,
        frame_index: frame,
        timestamp: Math.fround(frame / 10),
        index,
      });
    }
  }
}
