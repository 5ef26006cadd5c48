/** @file The files under meta/, kept up to date as episodes are added, and the order in which they appear. */
import type { Features } from "../features.js";
import { EPISODES_PATH, expandTemplate } from "../paths.js";
import type { Beginning } from "./begin.js";
import { type FileLocation, locationOf } from "./data-files.js";
import type { Staging } from "./staging.js";
import { aggregateStats, type FeatureStats, statEntries } from "./stats.js";
import { type TableRow, tableBytes } from "./table-file.js";
import { episodeTableRow, type StatShapes, tasksTable, type WrittenEpisode } from "./tables.js";

/** Rows of one file of meta/episodes: as long as it is not full, it is written anew with each episode. */
const ROWS_PER_TABLE = 200;

/**
 * The order of renames in which no reader is misled, wherever it ends. What comes early may say too much: readers take
 * as many episodes as info.json counts, LeRobot (which lists the data files) as many frames as there are.
 */
export function commitOrder(path: string): number {
  if (path === "meta/info.json") return 4;
  if (path.startsWith("data/")) return 3;
  if (path.startsWith("videos/")) return 2;
  return path.startsWith("meta/episodes/") ? 1 : 0;
}

export interface Metadata {
  readonly episodes: number;
  readonly frames: number;
  /** `task_index` by text; texts not yet seen are added by {@link Metadata.add}. */
  readonly tasks: ReadonlyMap<string, number>;
  /** The `task_index` that a text gets which is not there yet. */
  readonly nextTask: number;
  /** Count an episode in. `videoInfo`: what is to be noted of its cameras, where nothing is yet. */
  add(
    episode: WrittenEpisode,
    newTasks: readonly string[],
    videoInfo: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ): Promise<void>;
  /** Prepare all files that have changed. */
  stage(): Promise<void>;
}

/** The metadata of a dataset that begins as `begin`. */
export function metadata(staging: Staging, begin: Beginning): Metadata {
  const { columns, chunksSize, statShapes } = begin;
  let features: Features = begin.features;
  let { episodes, frames } = begin;
  const tasks = new Map(begin.tasks);
  let nextTask = 0;
  for (const index of tasks.values()) nextTask = Math.max(nextTask, index + 1);
  const stats: Record<string, FeatureStats> = { ...begin.stats };
  let table = begin.next.table;
  let rows: TableRow[] = [];
  const at = (): FileLocation => locationOf(table, chunksSize);
  const writeTable = async (): Promise<void> => {
    const place = { chunk_index: at().chunk, file_index: at().file };
    await staging.write(expandTemplate(EPISODES_PATH, place), tableBytes(columns, rows));
  };
  return {
    get episodes() {
      return episodes;
    },
    get frames() {
      return frames;
    },
    tasks,
    get nextTask() {
      return nextTask;
    },
    async add(episode, newTasks, videoInfo) {
      if (rows.length === ROWS_PER_TABLE) {
        await writeTable();
        table++;
        rows = [];
      }
      rows.push(episodeTableRow(episode, statShapes, at()));
      for (const text of newTasks) tasks.set(text, nextTask++);
      for (const [name, part] of Object.entries(episode.stats)) {
        const before = stats[name];
        // A feature without statistics in the existing episodes stays without.
        if (before) stats[name] = aggregateStats([before, part]);
        else if (episodes === 0) stats[name] = part;
      }
      for (const [name, info] of Object.entries(videoInfo)) {
        if (!features[name]?.info) features = { ...features, [name]: { ...features[name]!, info } };
      }
      episodes++;
      frames += episode.length;
    },
    async stage() {
      await writeTable();
      await staging.write("meta/tasks.parquet", tasksTable(tasks));
      await staging.write("meta/stats.json", json(namedStats(stats, statShapes)));
      const counts = {
        total_episodes: episodes,
        total_frames: frames,
        total_tasks: tasks.size,
        splits: { train: `0:${episodes}` },
      };
      await staging.write("meta/info.json", json({ ...begin.info, ...counts, features }));
    },
  };
}

function namedStats(stats: Readonly<Record<string, FeatureStats>>, shapes: StatShapes): unknown {
  const entries = Object.entries(stats).map(([name, of]) => [
    name,
    Object.fromEntries(statEntries(of, shapes[name]!)),
  ]);
  return Object.fromEntries(entries);
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 4)}\n`;
