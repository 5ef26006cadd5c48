import type { LeRobotDataset } from "@insula/lerobot-dataset";
import type { Sample } from "@insula/model-types";
import { expect, test } from "vitest";
import { otherPrompts, withoutImages } from "../src/ablations.js";

/** Episodes of two frames, with these instructions. */
const datasetOf = (tasks: string[]) =>
  ({
    episodes: tasks.map((_, index) => ({ index, from: 2 * index, to: 2 * index + 2, length: 2 })),
    sample: async (frame: number) => {
      const task = tasks[Math.floor(frame / 2)]!;
      return { task, task_index: tasks.indexOf(task), episode_index: Math.floor(frame / 2) };
    },
  }) as unknown as LeRobotDataset;

test("every episode gets an instruction that is not its own, the same in all of its frames", async () => {
  const tasks = ["reach", "reach", "push", "reach", "pull"];
  const ask = await otherPrompts(datasetOf(tasks), [0, 1, 2, 4]);
  const asked = (episode: number) => ask({ episode_index: episode, task: tasks[episode]!, task_index: -1 });
  expect([0, 1, 2, 4].map((episode) => asked(episode)["task"])).toEqual(["push", "push", "pull", "reach"]);
  expect(asked(2)["task_index"]).toBe(4);
});

test("where all instructions are the same, none changes", async () => {
  const ask = await otherPrompts(datasetOf(["reach", "reach"]), [0, 1]);
  expect(ask({ episode_index: 1, task: "reach" })["task"]).toBe("reach");
});

test("cameras turn black, nothing else changes", () => {
  const image = { data: Uint8Array.of(1, 2, 3), shape: [1, 1, 3] };
  const state = { data: Float32Array.of(4), shape: [1] };
  const sample: Sample = { wrist: image, state, task: "reach" };
  const blind = withoutImages({ cameraColumns: ["wrist", "missing"] })(sample);
  expect(blind).toEqual({ wrist: { data: new Uint8Array(3), shape: [1, 1, 3] }, state, task: "reach" });
  expect(image.data[0]).toBe(1);
});
