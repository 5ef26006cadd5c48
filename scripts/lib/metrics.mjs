/** @file What a run wrote to metrics.jsonl. */
import { readFileSync } from "node:fs";

const LOSSES = ["total", "action_loss", "fast_loss"];

/** The rows of a run: `steps` of them, numbered from 1, with finite losses; throws otherwise. */
export function readMetrics(path, steps) {
  const rows = readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter((row) => row.kind === undefined); // the others are validations
  if (rows.length !== steps) throw new Error(`${path}: expected ${steps} rows, found ${rows.length}`);
  for (const [i, row] of rows.entries()) {
    if (row.step !== i + 1) throw new Error(`${path}: row ${i + 1} is step ${row.step}`);
    for (const name of LOSSES)
      if (!Number.isFinite(row[name])) throw new Error(`${path}: step ${row.step}: ${name} is ${row[name]}`);
  }
  return rows;
}

/** Means of the first and the last `n` rows. */
export function ends(rows, name, n) {
  const mean = (part) => part.reduce((sum, row) => sum + row[name], 0) / part.length;
  return { first: mean(rows.slice(0, n)), last: mean(rows.slice(-n)) };
}
