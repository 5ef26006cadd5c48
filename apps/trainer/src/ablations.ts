/**
 * @file What a policy looks at: the same model asked again with a part of its observation taken away. An error that
 * does not grow says that the part is not used.
 */
import type { LeRobotDataset } from "@insula/lerobot-dataset";
import { isNdArray, type Sample } from "@insula/model-types";
import type { RobotSpec } from "./data/robots.js";

/** A dataset sample as the policy is to see it. */
export type Ablation = (sample: Sample) => Sample;

/** Every camera black. */
export function withoutImages({ cameraColumns }: Pick<RobotSpec, "cameraColumns">): Ablation {
  return (sample) => {
    const out = { ...sample };
    for (const column of cameraColumns) {
      const image = sample[column];
      if (isNdArray(image)) out[column] = { data: new Uint8Array(image.data.length), shape: image.shape };
    }
    return out;
  };
}

/**
 * Every episode with the instruction of the next of `episodes` whose instruction is another, at the same point of the
 * episode. Where all have the same, nothing changes.
 */
export async function otherPrompts(dataset: LeRobotDataset, episodes: readonly number[]): Promise<Ablation> {
  const firstFrames = new Map(dataset.episodes.map(({ index, from }) => [index, from]));
  const tasks: Sample[] = [];
  for (const episode of episodes) {
    const { task, task_index } = await dataset.sample(firstFrames.get(episode)!, { cameras: [] });
    tasks.push({ task: task!, task_index: task_index! });
  }
  const others = new Map(
    episodes.map((episode, i) => {
      const later = tasks.map((_, k) => tasks[(i + 1 + k) % tasks.length]!);
      return [episode, later.find(({ task }) => task !== tasks[i]!["task"]) ?? tasks[i]!];
    }),
  );
  return (sample) => ({ ...sample, ...others.get(Number(sample["episode_index"])) });
}
