#!/usr/bin/env node
/**
 * node scripts/check-real-data.mjs
 *
 * Trains 50 steps of pi05_droid_ki, size tiny, on real DROID episodes (../shared) and looks at what was logged.
 * A minute or two on two cores.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ends, readMetrics } from "./lib/metrics.mjs";
import { root, run, shared } from "./lib/workspace.mjs";

const STEPS = 50;
const dataset = join(shared, "data/lerobot/droid_subset_v30");
const logDir = mkdtempSync(join(tmpdir(), "insula-droid-"));
try {
  const flags = ["--size", "tiny", "--dataset", dataset, "--num-train-steps", String(STEPS)];
  const insula = [process.execPath, join(root, "scripts/insula.mjs")];
  run([...insula, "train", "pi05_droid_ki", ...flags, "--log-dir", logDir, "--overwrite"]);
  const rows = readMetrics(join(logDir, "metrics.jsonl"), STEPS);
  for (const name of ["fast_loss", "action_loss"]) {
    const { first, last } = ends(rows, name, 10);
    console.log(`${name}: ${first.toFixed(4)} (first 10 steps) → ${last.toFixed(4)} (last 10)`);
  }
  console.log(`ok: ${STEPS} steps on ${dataset}, every loss finite`);
} finally {
  rmSync(logDir, { recursive: true });
}
