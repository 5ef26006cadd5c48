/** @file What meta/ says, held against itself. */
import { InsulaError } from "@insula/model-types";
import { type Episode, readEpisodes } from "../read/episodes.js";
import { type DatasetInfo, readInfo } from "../read/info.js";
import type { DatasetRoot } from "../read/root.js";
import { readTasks } from "../read/tasks.js";
import { type Problem, problemOf } from "./problem.js";

/** What could be read of the metadata, and what is wrong with them. */
export interface Metadata {
  /** Undefined when nothing else can be checked. */
  readonly info?: DatasetInfo;
  readonly episodes: readonly Episode[];
  /** Undefined when the task table cannot be read. */
  readonly tasks?: ReadonlyMap<number, string>;
  readonly problems: readonly Problem[];
}

const INFO = "meta/info.json";

/** Read and check meta/. */
export async function checkMetadata(root: DatasetRoot): Promise<Metadata> {
  const problems: Problem[] = [];
  const noted = async <T>(file: string, read: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof InsulaError)) throw error;
      problems.push(problemOf(error, root.path, file));
      return undefined;
    }
  };
  const info = await noted(INFO, () => readInfo(root));
  if (!info) return { episodes: [], problems };
  const v3 = info.codebaseVersion === "v3.0";
  const tasksFile = v3 ? "meta/tasks.parquet" : "meta/tasks.jsonl";
  const episodesFile = v3 ? "meta/episodes" : "meta/episodes.jsonl";
  const tasks = await noted(tasksFile, () => readTasks(root, info));
  const report = (error: InsulaError): void => void problems.push(problemOf(error, root.path, episodesFile));
  const episodes = (await noted(episodesFile, () => readEpisodes(root, info, report))) ?? [];

  const wrong = (code: string, file: string, message: string, episode?: number): void =>
    void problems.push({ code, file, message, ...(episode !== undefined && { episode }) });
  for (const [index, text] of tasks ?? []) {
    if (text.trim() === "") wrong("validate/empty-task", tasksFile, `task ${index} is empty`);
  }
  const total = info.raw["total_tasks"];
  if (tasks && typeof total === "number" && total !== tasks.size) {
    wrong("dataset/counts", INFO, `total_tasks: expected ${total}, found ${tasks.size} in ${tasksFile}`);
  }
  const texts = new Set(tasks?.values());
  for (const { index, tasks: named } of tasks ? episodes : []) {
    const unknown = named.find((task) => !texts.has(task));
    if (unknown === undefined) continue;
    wrong("dataset/tasks", episodesFile, `its task ${JSON.stringify(unknown)} is not in ${tasksFile}`, index);
  }
  for (const [name, range] of Object.entries((info.raw["splits"] as object | undefined) ?? {})) {
    const [from, to] = String(range).split(":").map(Number);
    if (from! >= 0 && from! <= to! && to! <= info.totalEpisodes) continue;
    wrong(
      "dataset/counts",
      INFO,
      `splits.${name}: expected episodes of 0:${info.totalEpisodes}, found ${range}`,
    );
  }
  return { info, episodes, ...(tasks && { tasks }), problems };
}
