/** @file With INSULA_FUZZ_RUNS, every property that names no number of runs of its own is tried that often. */
import fc from "fast-check";

// biome-ignore lint/suspicious/noUndeclaredEnvVars: set by check-full, where turbo and its cache are not used
const value = process.env.INSULA_FUZZ_RUNS;
const numRuns = Number(value);
if (!Number.isInteger(numRuns) || numRuns < 1) {
  throw new Error(`INSULA_FUZZ_RUNS: expected a positive whole number, found '${value}'`);
}
fc.configureGlobal({ ...fc.readConfigureGlobal(), numRuns });
