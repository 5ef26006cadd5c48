#!/usr/bin/env node
/**
 * node scripts/check-full.mjs [NAME…] [--python PYTHON]… [--list]   (or: pnpm check:full)
 *
 * What takes too long for every change: each package's property tests with many more samples (INSULA_FUZZ_RUNS,
 * default 2000 where a property names no number of its own) and kills (INSULA_FULL), every public package from its
 * tarball, and the `check:…` scripts that packages and apps declare. An hour on two cores; NAME picks parts. What other
 * projects' libraries make of our files (TensorBoard, LeRobot, openpi) is checked with the Pythons that are given and
 * have them; the rest is named as skipped.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { pythonChecks } from "./lib/python-checks.mjs";
import { members, pnpm, root } from "./lib/workspace.mjs";

// biome-ignore lint/suspicious/noUndeclaredEnvVars: turbo and its cache are not used here
const RUNS = process.env.INSULA_FUZZ_RUNS ?? "2000";

const all = members();
const { values: args, positionals } = parseArgs({
  options: { list: { type: "boolean" }, python: { type: "string", multiple: true, default: [] } },
  allowPositionals: true,
});
const python = pythonChecks(args.python);
const parts = [...all.flatMap(fuzz), packAll(), ...all.flatMap(scripts), ...python.parts];
const unknown = positionals.find((name) => !parts.some((p) => p.name === name));
if (unknown) {
  const why = python.skipped.filter((line) => line.startsWith(unknown)).join("; ");
  throw new Error(`no part '${unknown}'; ${why || `there are ${parts.map((p) => p.name).join(", ")}`}`);
}
if (args.list) {
  for (const { name, command } of parts) console.log(`${name.padEnd(24)}${command.slice(-4).join(" ")}`);
  sayWhatIsSkipped();
  process.exit(0);
}

const failed = [];
for (const { name, cwd, command } of parts.filter(
  (p) => !positionals.length || positionals.includes(p.name),
)) {
  console.log(`\n== ${name}`);
  const began = Date.now();
  const { status } = spawnSync(command[0], command.slice(1), {
    cwd,
    stdio: "inherit",
    env: { ...process.env, INSULA_FUZZ_RUNS: RUNS, INSULA_FULL: "1" },
  });
  console.log(`== ${name}: ${status === 0 ? "ok" : "failed"}, ${((Date.now() - began) / 1000).toFixed(0)} s`);
  if (status !== 0) failed.push(name);
}
if (!positionals.length) sayWhatIsSkipped();
console.log(failed.length ? `\nfailed: ${failed.join(", ")}` : "\nok");
process.exitCode = failed.length ? 1 : 0;

function sayWhatIsSkipped() {
  for (const line of python.skipped) console.log(`skipped: ${line}`);
}

/** The tests of a package that draw samples. */
function fuzz({ dir }) {
  const test = join(dir, "test");
  if (!existsSync(test)) return [];
  const files = readdirSync(test, { recursive: true })
    .filter((file) => file.endsWith(".test.ts"))
    .filter((file) => readFileSync(join(test, file), "utf8").match(/from "fast-check"|INSULA_FULL/))
    .map((file) => join("test", file));
  const vitest = [process.execPath, join(root, "node_modules/vitest/vitest.mjs"), "run", "--testTimeout=0"];
  return files.length ? [{ name: `fuzz:${basename(dir)}`, cwd: dir, command: [...vitest, ...files] }] : [];
}

function packAll() {
  const names = all.filter((m) => !m.private).map((m) => basename(m.dir));
  return {
    name: "pack",
    cwd: root,
    command: [process.execPath, join(root, "scripts/check-pack.mjs"), ...names],
  };
}

function scripts({ dir, scripts = {} }) {
  return Object.keys(scripts)
    .filter((script) => script.startsWith("check:"))
    .map((script) => ({ name: `${basename(dir)}:${script}`, cwd: dir, command: [...pnpm, "run", script] }));
}
