/** @file The numbers of a test run, from vitest's JSON reports: one file per package. */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { members, root } from "./workspace.mjs";

/**
 * Tests passed and failed in folder `reports`. A test that was skipped counts as failed. A package with a test script
 * but without a whole report, a file that failed outside its tests, and a run that failed without naming a test
 * count as one failure each. `failures` names what failed.
 */
export function countTests(reports, exitedWell) {
  const counts = { passed: 0, failed: 0, skipped: 0, failures: [] };
  const fail = (what) => {
    counts.failed++;
    counts.failures.push(what);
  };
  for (const { dir, name } of members().filter((m) => m.scripts?.test)) {
    const report = read(join(reports, `${basename(dir)}.json`));
    if (!report) {
      fail(`${name}: no report`);
      continue;
    }
    counts.passed += report.numPassedTests;
    counts.skipped += report.numPendingTests + report.numTodoTests;
    for (const file of report.testResults) {
      const path = relative(root, file.name);
      const failed = file.assertionResults.filter((t) => t.status === "failed");
      for (const test of failed) fail(`${path}: ${test.fullName}`);
      for (const test of skippedIn(file)) fail(test);
      if (file.status === "failed" && !failed.length) fail(`${path}: failed outside its tests`);
    }
  }
  if (!exitedWell && counts.failed === 0) fail("the run failed without naming a test");
  return counts;
}

/** The tests that the reports in a folder list as not run, as `file: test`. */
export function skippedTests(reports) {
  return readdirSync(reports)
    .filter((file) => file.endsWith(".json"))
    .flatMap((file) => read(join(reports, file))?.testResults ?? [])
    .flatMap(skippedIn);
}

function skippedIn(file) {
  return file.assertionResults
    .filter((t) => t.status !== "passed" && t.status !== "failed")
    .map((t) => `${relative(root, file.name)}: skipped: ${t.fullName}`);
}

function read(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    // Not written, or not to its end: the caller counts it.
  }
}
