/**
 * @file The tasks of a dataset: index → instruction. v3.0: meta/tasks.parquet, where the text is the pandas
 * index (`__index_level_0__`, or the index's name); v2.x: meta/tasks.jsonl. The empty instruction is a task.
 */
import { InsulaError } from "@insula/model-types";
import { insideRoot } from "../paths.js";
import { readJsonLines } from "./episodes.js";
import type { DatasetInfo } from "./info.js";
import { readTable } from "./table.js";

/** Read the task table: `task_index` → text. */
export async function readTasks(root: string, info: DatasetInfo): Promise<Map<number, string>> {
  if (info.codebaseVersion !== "v3.0") {
    const lines = await readJsonLines<{ task_index: number; task: string }>(
      insideRoot(root, "meta/tasks.jsonl"),
    );
    return new Map(lines.map(({ task_index, task }) => [task_index, task]));
  }
  const path = insideRoot(root, "meta/tasks.parquet");
  const rows = await readTable(path);
  return new Map(
    rows.map((row) => {
      const text = Object.entries(row).find(
        ([name, value]) => name !== "task_index" && typeof value === "string",
      );
      if (text === undefined || row["task_index"] === undefined) {
        throw new InsulaError(
          "dataset/missing-key",
          `${path}: expected columns task_index and __index_level_0__, found ${Object.keys(row).join(", ")}`,
        );
      }
      return [Number(row["task_index"]), text[1] as string];
    }),
  );
}
