#!/usr/bin/env node
/**
 * pnpm test [turbo flags]   Every package's tests, cached by turbo.
 *
 * The goldens and real data lie outside the repository (../shared); whether they are there is part
 * of the cache key, so a run without them is never replayed as a run with them. With INSULA_TEST_REPORTS (a
 * folder for JSON reports, see vitest.shared.ts) every package's tests are run, none is replayed.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

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
if (env.INSULA_TEST_REPORTS) flags.push("--force", "--continue", "--env-mode=loose");
const turbo = `${root}node_modules/turbo/bin/turbo`;
const run = spawnSync(process.execPath, [turbo, "run", "test", ...flags, ...process.argv.slice(2)], {
  cwd: root,
  stdio: "inherit",
  env,
});
process.exit(run.status ?? 1);
