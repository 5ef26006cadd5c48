/** @file `metrics.jsonl`: one JSON object per step, appended as it happens, so a killed run loses nothing. */
import { closeSync, existsSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from "node:fs";
import type { MetricsRow } from "./row.js";

export interface JsonlWriter {
  write(row: MetricsRow): void;
  close(): void;
}

/**
 * Append to `path`. With `resumeStep`, rows after that step are dropped first: they belong to the part of
 * the interrupted run that its checkpoint does not hold and that will be run again.
 */
export function openMetrics(path: string, resumeStep?: number): JsonlWriter {
  if (resumeStep !== undefined && existsSync(path)) {
    const kept = readMetrics(path).filter((row) => row.step <= resumeStep);
    writeFileSync(`${path}.partial`, kept.map((row) => `${JSON.stringify(row)}\n`).join(""));
    renameSync(`${path}.partial`, path);
  }
  const file = openSync(path, "a");
  return {
    write: (row) => void writeSync(file, `${JSON.stringify(row)}\n`),
    close: () => closeSync(file),
  };
}

/** Read all rows; a last line cut short by a crash is ignored. */
export function readMetrics(path: string): MetricsRow[] {
  const rows: MetricsRow[] = [];
  for (const line of readFileSync(path, "utf8").split("\n")) {
    if (line === "") continue;
    try {
      rows.push(JSON.parse(line) as MetricsRow);
    } catch {
      break;
    }
  }
  return rows;
}
