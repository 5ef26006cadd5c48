/** @file Which episodes go where. */
import { InsulaError } from "@insula/model-types";
import { epochOrder } from "../load/sampler.js";
import type { LeRobotDataset } from "../read/dataset.js";

/** Episodes by `episode_index`, or how to choose them. */
export type EpisodesOf = readonly number[] | ((dataset: LeRobotDataset) => readonly number[]);

/** Episodes by the name of their part, or how to choose them. */
export type Parts =
  | Readonly<Record<string, readonly number[]>>
  | ((dataset: LeRobotDataset) => Readonly<Record<string, readonly number[]>>);

/**
 * Parts of given sizes, at random: shuffled as `epochOrder` does, then in order again. Counts are rounded so that parts
 * which add up to 1 take every episode.
 * @throws InsulaError `dataset/parts` unless each fraction is in (0, 1] and they add up to at most 1.
 */
export function byFraction(fractions: Readonly<Record<string, number>>, seed: number = 0): Parts {
  const entries = Object.entries(fractions);
  const sum = entries.reduce((total, [, fraction]) => total + fraction, 0);
  for (const [name, fraction] of entries) {
    if (fraction > 0 && fraction <= 1) continue;
    throw new InsulaError(
      "dataset/parts",
      `part '${name}': expected a fraction in (0, 1], found ${fraction}`,
    );
  }
  if (sum > 1 + 1e-9) {
    throw new InsulaError("dataset/parts", `the fractions add up to ${sum}; expected at most 1`);
  }
  return ({ episodes }) => {
    const order = epochOrder(episodes.length, seed, 0);
    let reached = 0;
    let begin = 0;
    const parts = entries.map(([name, fraction]) => {
      reached += fraction;
      const end = Math.round(reached * episodes.length);
      const chosen = Array.from(order.subarray(begin, end)).sort((a, b) => a - b);
      begin = end;
      return [name, chosen.map((i) => episodes[i]!.index)] as const;
    });
    return Object.fromEntries(parts);
  };
}

/** One part per task, called `task-<task_index>`; an episode of several tasks goes with its first. */
export const byTask: Parts = ({ episodes, tasks }) => {
  const indexOf = new Map([...tasks].map(([index, text]) => [text, index]));
  const parts = new Map<number, number[]>();
  for (const episode of episodes) {
    const task = indexOf.get(episode.tasks[0] ?? "") ?? 0;
    const part = parts.get(task);
    if (part) part.push(episode.index);
    else parts.set(task, [episode.index]);
  }
  const sorted = [...parts].sort(([a], [b]) => a - b);
  return Object.fromEntries(sorted.map(([task, of]) => [`task-${task}`, of]));
};

/**
 * The episodes of the given tasks: those with at least one frame of one of them.
 * @throws InsulaError `dataset/task` naming the tasks there are.
 */
export function ofTasks(texts: readonly string[]): EpisodesOf {
  return ({ episodes, tasks, root }) => {
    const known = new Set(tasks.values());
    for (const text of texts) {
      if (known.has(text)) continue;
      const some = [...known].slice(0, 10).map((task) => `'${task}'`);
      throw new InsulaError("dataset/task", `${root}: no task '${text}'; its tasks: ${some.join(", ")}`);
    }
    return episodes.filter((e) => e.tasks.some((task) => texts.includes(task))).map((e) => e.index);
  };
}
