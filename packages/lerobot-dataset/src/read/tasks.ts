/**
 * @file The tasks of a dataset: index → instruction. v3.0: meta/tasks.parquet, where the text is the column
 * `task`, or the pandas index (`__index_level_0__`, or the index's name); v2.x: meta/tasks.jsonl. The empty
 * instruction is a task.
 */
import { InsulaError } from "@insula/model-types";
import type { DatasetInfo } from "./info.js";
import { readJsonLines } from "./json-lines.js";
import type { DatasetRoot } from "./root.js";
import { readTable } from "./table.js";

/**
 * Read the task table: `task_index` → text.
 * @throws InsulaError `dataset/tasks` for an index that is none, is there twice or has no text.
 */
export async function readTasks(root: DatasetRoot, info: DatasetInfo): Promise<Map<number, string>> {
  if (info.codebaseVersion !== "v3.0") {
    const relative = "meta/tasks.jsonl";
    const lines = await readJsonLines(root, relative);
    return taskMap(
      `${root.path}/${relative}`,
      lines.map(({ fields }) => [fields["task_index"], fields["task"]]),
    );
  }
  const path = await root.file("meta/tasks.parquet");
  const rows = await readTable(path);
  return taskMap(
    path,
    rows.map((row) => {
      const names = Object.keys(row).filter((name) => name !== "task_index" && typeof row[name] === "string");
      const text = names.includes("task") ? "task" : names[0];
      if (text === undefined || row["task_index"] === undefined) {
        throw new InsulaError(
          "dataset/missing-key",
          `${path}: expected columns task_index and task or __index_level_0__, found ${Object.keys(row).join(", ")}`,
        );
      }
      return [row["task_index"], row[text]];
    }),
  );
}

function taskMap(path: string, rows: readonly (readonly [unknown, unknown])[]): Map<number, string> {
  const tasks = new Map<number, string>();
  for (const [key, text] of rows) {
    const index = typeof key === "number" || typeof key === "bigint" ? Number(key) : Number.NaN;
    const problem =
      !Number.isSafeInteger(index) || index < 0
        ? `task_index: expected a whole number from 0, found ${String(key)}`
        : typeof text !== "string"
          ? `task ${index}: expected a text, found ${String(text)}`
          : tasks.has(index)
            ? `task ${index} is there twice`
            : undefined;
    if (problem) throw new InsulaError("dataset/tasks", `${path}: ${problem}`);
    tasks.set(index, text as string);
  }
  return tasks;
}
