#!/usr/bin/env node
/**
 * pnpm test [turbo flags]   Every package's tests, cached by turbo.
 *
 * The goldens and real data lie outside the repository (../shared); whether they are there is part
 * of the cache key, so a run without them is never replayed as a run with them. In CI (CI is set, or
 * INSULA_TEST_REPORTS, a folder for JSON reports, see vitest.shared.ts) every package's tests are run, none is
 * replayed, and a skipped test is a failure.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { skippedTests } from "./lib/test-reports.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const shared = process.env.INSULA_SHARED ?? resolve(root, "../shared");
const env = { ...process.env, TURBO_TELEMETRY_DISABLED: "1", ORT_DISABLE_TELEMETRY: "1" };
if (existsSync(`${shared}/golden`)) env.INSULA_SHARED = shared;
else {
  delete env.INSULA_SHARED;
  process.stderr.write(
    `shared data missing (${shared}): the tests that compare with it are reported, not run\n`,
  );
}
const flags = ["--concurrency=2", "--output-logs=full"];
const ownReports =
  env.CI && !env.INSULA_TEST_REPORTS ? mkdtempSync(join(tmpdir(), "insula-tests-")) : undefined;
if (ownReports) env.INSULA_TEST_REPORTS = ownReports;
if (env.INSULA_TEST_REPORTS) flags.push("--force", "--continue", "--env-mode=loose");
const turbo = `${root}node_modules/turbo/bin/turbo`;
const run = spawnSync(process.execPath, [turbo, "run", "test", ...flags, ...process.argv.slice(2)], {
  cwd: root,
  stdio: "inherit",
  env,
});
const skipped = env.INSULA_TEST_REPORTS ? skippedTests(env.INSULA_TEST_REPORTS) : [];
for (const test of skipped) process.stderr.write(`${test} (a failure in CI)\n`);
if (ownReports) rmSync(ownReports, { recursive: true });
process.exit(run.status === 0 && skipped.length ? 1 : (run.status ?? 1));
