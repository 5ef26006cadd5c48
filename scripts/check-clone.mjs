#!/usr/bin/env node
/**
 * node scripts/check-clone.mjs
 *
 * The README's first command where nothing has been prepared: a fresh clone of HEAD, an empty HOME (no npm
 * configuration, no pnpm store), no ../shared. It has to train to the end, log every step, lower both losses by a
 * tenth and leave a checkpoint and the curves. Downloads everything; a few minutes on two cores.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ends, readMetrics } from "./lib/metrics.mjs";
import { pnpm, root, run } from "./lib/workspace.mjs";

const STEPS = 200;
const WINDOW = 20;
const FALL = 0.9;

const dir = mkdtempSync(join(tmpdir(), "insula-clone-"));
try {
  const clone = join(dir, "insula");
  run(["git", "clone", "--quiet", "--no-hardlinks", root, clone]);
  const commit = run(["git", "rev-parse", "--short", "HEAD"], { cwd: clone }).trim();
  const uncommitted = run(["git", "status", "--porcelain"]).trim();
  if (uncommitted)
    console.log(`note: ${uncommitted.split("\n").length} uncommitted changes are not in the clone`);
  const stranger = { cwd: clone, env: freshEnv(join(dir, "home")) };

  const start = Date.now();
  run([...pnpm, "train"], stranger);
  const minutes = (Date.now() - start) / 60_000;

  const runs = join(clone, "runs");
  const metrics = fileLike(runs, /(^|\/)metrics\.jsonl$/);
  const rows = readMetrics(join(runs, metrics), STEPS);
  for (const name of ["fast_loss", "action_loss"]) {
    const { first, last } = ends(rows, name, WINDOW);
    console.log(`${name}: ${first.toFixed(4)} (first ${WINDOW} steps) → ${last.toFixed(4)} (last ${WINDOW})`);
    if (!(last <= FALL * first))
      throw new Error(`${name}: expected to fall to ${FALL} of its start or lower`);
  }
  const runDir = join(runs, dirname(metrics));
  fileLike(runDir, /^checkpoints\/\d+\/./);
  fileLike(runDir, /\.svg$/);
  if (!run([...pnpm, "insula", "--help"], stranger).includes("train"))
    throw new Error("insula --help: no 'train'");
  console.log(
    `ok: ${commit} cloned, installed, built and trained for ${STEPS} steps in ${minutes.toFixed(1)} minutes`,
  );
} finally {
  rmSync(dir, { recursive: true, force: true });
}

/** The environment without anything that configures npm, pnpm or this project, and with an empty HOME. */
function freshEnv(home) {
  mkdirSync(home);
  const kept = Object.entries(process.env).filter(
    ([key]) => !/^(npm_|pnpm_|insula_|xdg_|turbo_|ci$)/i.test(key),
  );
  return { ...Object.fromEntries(kept), HOME: home };
}

/** The first file below `folder` whose path matches. */
function fileLike(folder, pattern) {
  const found = readdirSync(folder, { recursive: true }).find((file) => pattern.test(file));
  if (!found) throw new Error(`no file like ${pattern} below ${folder}`);
  return found;
}
