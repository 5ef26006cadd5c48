#!/usr/bin/env node
/**
 * node scripts/bench.mjs [NAME… [FLAG…]]   (or: pnpm bench NAME)
 *
 * Runs the benchmarks NAME, one after the other: packages/<…>/bench/NAME.mjs or apps/<…>/bench/NAME.mjs, built first,
 * with FLAGs passed on to each. Without a name, or with one that does not exist, lists them with what they measure.
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

const given = process.argv.slice(2);
const end = given.findIndex((word) => word.startsWith("-"));
const [names, flags] = end < 0 ? [given, []] : [given.slice(0, end), given.slice(end)];
const found = names.map((name) =>
  benches.filter((b) => b.name === name || `${basename(b.dir)}/${b.name}` === name),
);
const wrong = found.findIndex((some) => some.length !== 1);
if (names.length > 0 && wrong < 0) {
  const wanted = found.flat();
  build(wanted.map(({ dir }) => dir));
  for (const { dir, path } of wanted) {
    const { status } = spawnSync(process.execPath, [path, ...flags], { stdio: "inherit", cwd: dir });
    if (status !== 0) process.exitCode = status ?? 1;
  }
} else {
  if (wrong >= 0)
    console.error(
      `${found[wrong].length ? "several benchmarks are called" : "no benchmark"} ${names[wrong]}`,
    );
  for (const b of benches)
    console.log(`${basename(b.dir)}/${b.name}  ${summary(b.path)}  (${relative(root, b.path)})`);
  process.exitCode = wrong >= 0 ? 1 : 0;
}

/** The first sentence of the file's opening comment. */
function summary(path) {
  const comment = /\/\*\*([\s\S]*?)\*\//.exec(readFileSync(path, "utf8"))?.[1] ?? "";
  return comment
    .replace(/^\s*\*\s?/gm, "")
    .trim()
    .split(/\.\s|\n\n/)[0];
}
