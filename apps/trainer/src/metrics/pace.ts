/** @file How fast a run goes by the clock on the wall: what its time to go is reckoned from. */
import type { MetricsRow } from "./row.js";

/** Milliseconds per step so far, at the end of a step. */
export type Pace = (row: Pick<MetricsRow, "step" | "step_ms">) => number;

/**
 * Wall time per step since the end of the first one: whatever happens between steps, validations and saves, takes its share.
 * The first step opens the graphs, which no other does; until there is another its own time is all that is known.
 * @param clock milliseconds, monotonic.
 */
export function createPace(clock: () => number): Pace {
  let first: { step: number; at: number } | undefined;
  return ({ step, step_ms }) => {
    const at = clock();
    first ??= { step, at };
    return step > first.step ? (at - first.at) / (step - first.step) : step_ms;
  };
}
