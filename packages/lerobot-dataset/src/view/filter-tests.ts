/** @file The reasons for which a filter drops frames, each as a test of one episode. */
import { closestMatch, InsulaError, sizeOf } from "@insula/model-types";
import type { Episode } from "../read/episodes.js";
import type { EpisodeSource } from "./episode-source.js";
import type { FilterReason, FrameFilter, FrameTest } from "./frame-filter.js";
import { type IdleOptions, nonIdleRanges } from "./idle.js";
import type { FrameRange } from "./ranges.js";

const SUCCESS_COLUMNS = ["next.success", "success", "is_episode_successful"];

/** Which frames of an episode pass: all, none, or those that are 1. */
export type EpisodeTest = (episode: Episode) => boolean | Uint8Array;

/** The tests that `filter` asks for, in the order of the reasons, with the columns that they need. */
export async function episodeTests(
  dataset: EpisodeSource,
  filter: FrameFilter,
): Promise<[FilterReason, EpisodeTest][]> {
  const tests: [FilterReason, EpisodeTest][] = [];
  const { episodes, tasks, success, ranges, idle, where } = filter;
  if (episodes) tests.push(["episodes", episodeTest(dataset, episodes)]);
  if (tasks) tests.push(["tasks", await taskTest(dataset, tasks)]);
  if (success !== undefined)
    tests.push(["success", await successTest(dataset, success, filter.successColumn)]);
  if (ranges) tests.push(["ranges", ({ index, length }) => mask(length, ranges.get(index) ?? [])]);
  if (idle) tests.push(["idle", await idleTest(dataset, idle === true ? {} : idle)]);
  if (where) tests.push(["where", await whereTest(dataset, where)]);
  return tests;
}

function mask(length: number, ranges: readonly FrameRange[]): Uint8Array {
  const keep = new Uint8Array(length);
  for (const [from, to] of ranges) keep.fill(1, from, Math.min(to, length));
  return keep;
}

function episodeTest(dataset: EpisodeSource, episodes: readonly number[]): EpisodeTest {
  const known = new Set(dataset.episodes.map((e) => e.index));
  const missing = episodes.find((index) => !known.has(index));
  if (missing !== undefined) {
    throw new InsulaError(
      "filter/episodes",
      `${dataset.root}: episode ${missing} is not one of its ${known.size} episodes`,
    );
  }
  const wanted = new Set(episodes);
  return ({ index }) => wanted.has(index);
}

async function taskTest(dataset: EpisodeSource, tasks: readonly string[] | RegExp): Promise<EpisodeTest> {
  const names = [...dataset.tasks.values()];
  if (!(tasks instanceof RegExp)) {
    const unknown = tasks.find((task) => !names.includes(task));
    if (unknown !== undefined) {
      const near = closestMatch(unknown, names);
      throw new InsulaError(
        "filter/tasks",
        `${dataset.root}: no task '${unknown}'${near === undefined ? "" : `; did you mean '${near}'?`} (${names.length} tasks)`,
      );
    }
  }
  // Without the state that a global or sticky expression keeps between tests.
  const pattern =
    tasks instanceof RegExp ? new RegExp(tasks.source, tasks.flags.replace(/[gy]/g, "")) : undefined;
  const wanted = new Set(
    [...dataset.tasks]
      .filter(([, task]) => (pattern ? pattern.test(task) : (tasks as readonly string[]).includes(task)))
      .map(([index]) => index),
  );
  if (wanted.size === 0) {
    throw new InsulaError("filter/tasks", `${dataset.root}: ${tasks} matches none of ${names.length} tasks`);
  }
  const { data } = await dataset.column("task_index");
  return ({ from, length }) => {
    const keep = new Uint8Array(length);
    for (let i = 0; i < length; i++) keep[i] = +wanted.has(Number(data[from + i]));
    return keep;
  };
}

async function successTest(dataset: EpisodeSource, wanted: boolean, column?: string): Promise<EpisodeTest> {
  const name = column ?? SUCCESS_COLUMNS.find((key) => Object.hasOwn(dataset.features, key));
  if (name === undefined) {
    throw new InsulaError(
      "filter/success",
      `${dataset.root}: nothing says which episodes succeeded: expected a feature ${SUCCESS_COLUMNS.join(", ")}, found ${Object.keys(dataset.features).join(", ")}; name it (successColumn)`,
    );
  }
  const { data, shape } = await dataset.column(name);
  const dim = sizeOf(shape.slice(1));
  return ({ from, to }) => {
    let any = false;
    for (let i = from * dim; i < to * dim && !any; i++) any = Number(data[i]) > 0;
    return any === wanted;
  };
}

async function idleTest(dataset: EpisodeSource, options: IdleOptions): Promise<EpisodeTest> {
  const { column = "actions", dims = 7 } = options;
  const { data, shape } = await dataset.column(column);
  const dim = sizeOf(shape.slice(1));
  if (dims < 1 || dims > dim) {
    throw new InsulaError(
      "filter/idle",
      `${dataset.root}: idle: expected ${column} of at least ${dims} dims, found ${dim}; set idle.column and idle.dims`,
    );
  }
  return ({ from, to, length }) => {
    const values = { data: data.subarray(from * dim, to * dim), shape: [length, dim] };
    return mask(length, nonIdleRanges(values, { ...options, dims }));
  };
}

async function whereTest(dataset: EpisodeSource, where: FrameTest): Promise<EpisodeTest> {
  const columns = await Promise.all(where.columns.map((name) => dataset.column(name)));
  return ({ from, length, index }) => {
    const keep = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      const row = Object.fromEntries(
        columns.map(({ data, shape }, c) => {
          const dims = shape.slice(1);
          const dim = sizeOf(dims);
          const cell = { data: data.subarray((from + i) * dim, (from + i + 1) * dim), shape: dims };
          return [where.columns[c]!, cell];
        }),
      );
      keep[i] = +where.keep(row, { dataset: dataset.root, episode: index, frame: i });
    }
    return keep;
  };
}
