/** @file Which settings a resumed run may change. */
import { InsulaError } from "@insula/model-types";
import type { RunConfig } from "./types.js";

/** Settings that only decide how long and how talkative a run is, and on which machine. */
const FREE = new Set([
  ...[
    "numTrainSteps",
    "numWorkers",
    "logInterval",
    "histogramInterval",
    "saveInterval",
    "keepPeriod",
    "lrSchedule",
    "weights",
  ],
  ...["maxToKeep", "checkpointBaseDir", "maxSaveFailures", "saveRetrySeconds", "emergencyDir"],
  ...[
    "device",
    "runtime",
    "cuda",
    "computeType",
    "lossRows",
    "rematerialize",
    "gradientAccumulation",
    "maxSkippedSteps",
  ],
]);

/**
 * Check that a run continues what its checkpoint began: everything but length, schedule, intervals,
 * device and what only decides on memory is equal.
 * @throws InsulaError `run/config-changed` naming the first field that differs.
 */
export function assertSameRun(saved: RunConfig, now: RunConfig): void {
  const difference = firstDifference(saved, now, []);
  if (!difference) return;
  const { path, a, b } = difference;
  throw new InsulaError(
    "run/config-changed",
    `--resume: ${path.join(".")} was ${JSON.stringify(a)} in the checkpoint and is ${JSON.stringify(b)} now; ` +
      "resume with the same settings, or start another run",
  );
}

function firstDifference(
  a: unknown,
  b: unknown,
  path: readonly string[],
): { path: readonly string[]; a: unknown; b: unknown } | undefined {
  if (Object.is(a, b)) return undefined;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return { path, a, b };
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    if (path.length === 0 && FREE.has(key)) continue;
    const [x, y] = [(a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]];
    // How validation looks is free; what it compares is not, or the best step would be best of two things.
    if (path[0] === "validation" && key !== "metric") continue;
    // Whoever meets a broken file in the middle of a run may decide to go on without.
    if (path[0] === "data" && key === "onCorrupt") continue;
    // Another decay continues the same average; switching the average on or off does not.
    if (key === "emaDecay" && x !== null && y !== null) continue;
    const found = firstDifference(x, y, [...path, key]);
    if (found) return found;
  }
  return undefined;
}
