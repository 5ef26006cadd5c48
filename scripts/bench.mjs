#!/usr/bin/env node
/**
 * node scripts/bench.mjs [NAME [FLAG…]]   (or: pnpm bench NAME)
 *
 * Runs the benchmark NAME: packages/<…>/bench/NAME.mjs or apps/<…>/bench/NAME.mjs, built first, with FLAGs passed
 * on. Without a name, or with one that does not exist, lists them with what they measure.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { build, members, root } from "./lib/workspace.mjs";

const benches = members().flatMap(({ dir }) => {
  const folder = join(dir, "bench");
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith(".mjs"))
    .map((file) => ({ name: basename(file, ".mjs"), dir, path: join(folder, file) }));
});

const [name, ...flags] = process.argv.slice(2);
const wanted = benches.filter((b) => b.name === name || `${basename(b.dir)}/${b.name}` === name);
if (wanted.length === 1) {
  const [{ dir, path }] = wanted;
  build([dir]);
  const { status } = spawnSync(process.execPath, [path, ...flags], { stdio: "inherit", cwd: dir });
  process.exitCode = status ?? 1;
} else {
  if (name) console.error(wanted.length ? `several benchmarks are called ${name}` : `no benchmark ${name}`);
  for (const b of benches)
    console.log(`${basename(b.dir)}/${b.name}  ${summary(b.path)}  (${relative(root, b.path)})`);
  process.exitCode = name ? 1 : 0;
}

/** The first sentence of the file's opening comment. */
function summary(path) {
  const comment = /\/\*\*([\s\S]*?)\*\//.exec(readFileSync(path, "utf8"))?.[1] ?? "";
  return comment
    .replace(/^\s*\*\s?/gm, "")
    .trim()
    .split(/\.\s|\n\n/)[0];
}
