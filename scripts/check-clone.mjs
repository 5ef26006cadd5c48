#!/usr/bin/env node
/**
 * node scripts/check-clone.mjs
 *
 * The README's first command where nothing has been prepared: a fresh clone of HEAD, an empty HOME (no npm
 * configuration, no pnpm store), no pnpm on the PATH, no ../shared. Within seven minutes it has to train to the end,
 * log every step, lower both losses by a tenth and leave a checkpoint and the curves. The trained model then has to
 * predict held-out actions well better than the untrained one, and tests to report, not fail, the missing data.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { ends, readMetrics } from "./lib/metrics.mjs";
import { pnpm, root, run } from "./lib/workspace.mjs";

const STEPS = 200;
const WINDOW = 20;
const FALL = 0.9;
/** Held-out error, trained over untrained. */
const ERROR_RATIO = 0.7;
const MAX_MINUTES = 7;

const dir = mkdtempSync(join(tmpdir(), "insula-clone-"));
try {
  const clone = join(dir, "insula");
  run(["git", "clone", "--quiet", "--no-hardlinks", root, clone]);
  const commit = run(["git", "rev-parse", "--short", "HEAD"], { cwd: clone }).trim();
  const uncommitted = run(["git", "status", "--porcelain"]).trim();
  if (uncommitted)
    console.log(`note: ${uncommitted.split("\n").length} uncommitted changes are not in the clone`);
  const stranger = { cwd: clone, env: freshEnv(dir) };

  const start = Date.now();
  run([...pnpm, "train"], stranger);
  const minutes = (Date.now() - start) / 60_000;
  console.log(`first command: ${minutes.toFixed(1)} minutes`);
  if (minutes > MAX_MINUTES) throw new Error(`expected ${MAX_MINUTES} minutes or less`);

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
  const { trained, untrained } = evaluate(runDir, stranger);
  const ratio = mean(trained) / mean(untrained);
  console.log(
    `held-out error: ${mean(untrained).toFixed(4)} untrained, ${mean(trained).toFixed(4)} trained; ratio ${ratio.toFixed(3)}`,
  );
  if (!(ratio <= ERROR_RATIO)) throw new Error(`held-out error: expected a ratio of ${ERROR_RATIO} or lower`);

  const tests = run([...pnpm, "--filter", "@insula/transforms", "test", "--reporter=verbose"], stranger);
  if (!tests.includes("shared data missing"))
    throw new Error(`tests without ../shared: no 'shared data missing'\n${tests}`);
  console.log("tests without ../shared: none fails, the missing data is reported");
  console.log(
    `ok: ${commit} cloned, installed, built and trained for ${STEPS} steps in ${minutes.toFixed(1)} minutes; held-out error ratio ${ratio.toFixed(3)}`,
  );
} finally {
  rmSync(dir, { recursive: true, force: true });
}

/** What `insula evaluate --json` says of a run, beside the same model untrained. */
function evaluate(runDir, { cwd, env }) {
  const insula = [process.execPath, join(cwd, "scripts/insula.mjs")];
  return JSON.parse(run([...insula, "evaluate", "--checkpoint", runDir, "--json"], { cwd, env }));
}

function mean(values) {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

/**
 * The environment without anything that configures npm, pnpm or this project, with an empty HOME and no pnpm on
 * the PATH. Both are made in `dir`.
 */
function freshEnv(dir) {
  const home = join(dir, "home");
  mkdirSync(home);
  const kept = Object.entries(process.env).filter(
    ([key]) => !/^(npm_|pnpm_|insula_|xdg_|turbo_|ci$)/i.test(key),
  );
  const path = process.env.PATH.split(delimiter).map((folder, i) =>
    withoutPnpm(folder, join(dir, `path${i}`)),
  );
  return { ...Object.fromEntries(kept), HOME: home, PATH: path.join(delimiter) };
}

/** `folder`, or where it holds pnpm, `copy` with links to everything else in it. */
function withoutPnpm(folder, copy) {
  const isPnpm = (file) => /^(pnpm|pnpx|pn)(\.|$)/.test(file);
  if (!existsSync(folder) || !readdirSync(folder).some(isPnpm)) return folder;
  mkdirSync(copy);
  for (const file of readdirSync(folder))
    if (!isPnpm(file)) symlinkSync(join(folder, file), join(copy, file));
  return copy;
}

/** The first file below `folder` whose path matches. */
function fileLike(folder, pattern) {
  const found = readdirSync(folder, { recursive: true }).find((file) => pattern.test(file));
  if (!found) throw new Error(`no file like ${pattern} below ${folder}`);
  return found;
}
