#!/usr/bin/env node
/**
 * node scripts/ci.mjs [--only NAME]… [--list]
 *
 * Everything that has to hold before a change goes in, step by step; a failed step does not stop the others.
 * The last line is `N passed, N failed`: every single test, and one for each further step. A skipped test counts
 * as failed, and so does a total of more than 20 minutes; needs ../shared, Python 3 and the registries of npm and PyPI.
 */
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { countTests } from "./lib/test-reports.mjs";
import { pnpm, root, shared } from "./lib/workspace.mjs";

const node = (script, ...args) => [process.execPath, join(root, script), ...args];
const golden = [
  ...["common", "public"].flatMap((name) => ["--golden", join(shared, "golden", name)]),
  ...["--tokenizers", join(shared, "data")],
];

/** Name → what is checked, the command, and its environment. `pnpm` commands are the ones that the README gives. */
const STEPS = {
  test: ["every package's tests", [...pnpm, "test"]],
  lint: ["format and lint", [...pnpm, "lint"]],
  types: ["types of sources, tests and benches", [...pnpm, "typecheck"]],
  layers: ["who may import whom", node("tools/deps/check-layers.mjs")],
  "layers-self-test": ["that the layer check notices", node("tools/deps/check-layers.mjs", "--self-test")],
  docs: ["every public export documented", node("tools/deps/check-docs.mjs")],
  published: ["publint and attw on the tarballs", node("tools/deps/check-published.mjs")],
  pack: ["README examples from tarballs, by npm", node("scripts/check-pack.mjs")],
  verify: ["the reference's numbers", [...pnpm, "insula", "verify", ...golden]],
  "verify-node": [
    "the same on onnxruntime-node's API",
    [...pnpm, "insula", "verify", ...golden, "--runtime", "node"],
  ],
  "tests-node": [
    "the model's tests on that API",
    [...pnpm, "--filter", "@insula/ki-model", "test"],
    { INSULA_RUNTIME: "node" },
  ],
  artifact: ["exported artifact in Python onnxruntime", node("scripts/check-artifact-python.mjs")],
  tokenizers: ["FAST folders in Python's tokenizers, both ways", node("scripts/check-tokenizers-python.mjs")],
  client: ["openpi's own Python client against the server", node("scripts/check-openpi-client.mjs")],
  browser: ["bundle sizes, goldens in Chromium", node("tools/browser/check-browser.mjs")],
  "status-page": ["the server's status page in Chromium", node("scripts/check-status-page.mjs")],
  "real-data": ["training on real DROID episodes", node("scripts/check-real-data.mjs")],
  clone: ["the README's first command in a fresh clone", node("scripts/check-clone.mjs")],
};
/** No step may take longer. */
const LIMIT_MINUTES = 14;
/** Nor all of them together. */
const TOTAL_MINUTES = 20;
const TAIL_LINES = 60;

const { values: args } = parseArgs({
  options: { only: { type: "string", multiple: true }, list: { type: "boolean" } },
});
if (args.list) {
  for (const [name, [what]] of Object.entries(STEPS)) console.log(`${name.padEnd(18)}${what}`);
  process.exit(0);
}
for (const name of args.only ?? []) {
  if (!STEPS[name]) throw new Error(`no step '${name}'; there are ${Object.keys(STEPS).join(", ")}`);
}

const start = Date.now();
const total = { passed: 0, failed: 0 };
const logs = mkdtempSync(join(tmpdir(), "insula-ci-"));
if (existsSync(join(shared, "golden"))) {
  for (const name of args.only ?? Object.keys(STEPS)) await step(name);
} else {
  console.log(`shared data missing: ${shared} (INSULA_SHARED names another folder)`);
  total.failed++;
}
rmSync(logs, { recursive: true });
const minutes = (Date.now() - start) / 60_000;
console.log(`total ${minutes.toFixed(1)} minutes`);
if (minutes > TOTAL_MINUTES) {
  console.log(`failed: longer than ${TOTAL_MINUTES} minutes`);
  total.failed++;
}
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed ? 1 : 0;

async function step(name) {
  const [what, command, env] = STEPS[name];
  const log = join(logs, `${name}.log`);
  const reports = name === "test" ? join(logs, "reports") : undefined;
  if (reports) mkdirSync(reports);
  const began = Date.now();
  const problem = await runLogged(command, log, reports ? { INSULA_TEST_REPORTS: reports } : env);
  const seconds = ((Date.now() - began) / 1000).toFixed(1).padStart(6);
  const one = { passed: problem ? 0 : 1, failed: problem ? 1 : 0, failures: [] };
  const { passed, failed, skipped, failures } = reports ? countTests(reports, !problem) : one;
  total.passed += passed;
  total.failed += failed;

  const lines = readFileSync(log, "utf8").trimEnd().split("\n");
  // What a step says last is its result.
  const result = reports ? `${passed} passed, ${failed} failed, ${skipped} skipped` : lines.at(-1);
  console.log(`${failed ? "failed" : "ok    "} ${name.padEnd(18)}${seconds} s  ${what}\n       ${result}`);
  if (!failed) return;
  console.log(lines.slice(-TAIL_LINES).join("\n"));
  for (const failure of failures) console.log(`failed test: ${failure}`);
  console.log(`${name}: ${problem ?? "failed tests"}`);
}

/** Run a command with all of its output in a file; resolves to what went wrong, if anything did. */
function runLogged([command, ...rest], log, env) {
  const file = openSync(log, "w");
  // Its own process group, so that a step that takes too long ends with all of its children.
  const child = spawn(command, rest, {
    cwd: root,
    stdio: ["ignore", file, file],
    detached: true,
    env: { ...process.env, CI: "1", INSULA_SHARED: shared, NO_COLOR: "1", ...env },
  });
  closeSync(file);
  const stop = () => process.kill(-child.pid, "SIGKILL");
  const interrupted = () => {
    stop();
    process.exit(130);
  };
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
  return new Promise((resolve) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      stop();
    }, LIMIT_MINUTES * 60_000);
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      process.off("SIGINT", interrupted).off("SIGTERM", interrupted);
      if (late) resolve(`took longer than ${LIMIT_MINUTES} minutes`);
      else resolve(code === 0 ? undefined : `${command} ended with ${signal ?? `exit code ${code}`}`);
    });
  });
}
