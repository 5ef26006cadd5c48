/** @file `metrics.jsonl`: one JSON object per step, appended as it happens, so a killed run loses nothing. */
import { existsSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { appendTo } from "../append.js";
import type { MetricsRow, ValidationRow } from "./row.js";

export interface JsonlWriter {
  write(row: MetricsRow | ValidationRow): void;
  close(): void;
}

/**
 * Append to `path`. With `resumeStep`, rows after that step are dropped first: they belong to the part of
 * the interrupted run that its checkpoint does not hold and that will be run again.
 * @param onTrouble called when writing begins to fail: rows then wait in memory.
 */
export function openMetrics(
  path: string,
  resumeStep?: number,
  onTrouble?: (code: string) => void,
): JsonlWriter {
  if (resumeStep !== undefined && existsSync(path)) {
    const kept = readRows(path).filter((row) => row.step <= resumeStep);
    writeFileSync(`${path}.partial`, kept.map((row) => `${JSON.stringify(row)}\n`).join(""));
    renameSync(`${path}.partial`, path);
  }
  const file = appendTo(openSync(path, "a"), onTrouble);
  return {
    write: (row) => file.write(`${JSON.stringify(row)}\n`),
    close: file.close,
  };
}

/** Read the rows of training steps; a last line cut short by a crash is ignored. */
export function readMetrics(path: string): MetricsRow[] {
  return readRows(path).filter((row) => row.kind === undefined);
}

/** Read the rows of validations. */
export function readValidations(path: string): ValidationRow[] {
  return readRows(path).filter((row) => row.kind === "validation");
}

function readRows(path: string): (MetricsRow | ValidationRow)[] {
  const rows: (MetricsRow | ValidationRow)[] = [];
  for (const line of readFileSync(path, "utf8").split("\n")) {
    if (line === "") continue;
    try {
      rows.push(JSON.parse(line) as MetricsRow | ValidationRow);
    } catch {
      break;
    }
  }
  return rows;
}
