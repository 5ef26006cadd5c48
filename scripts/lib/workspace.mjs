/**
 * @file What the scripts share: where things are, the members of the workspace, and how to run, build and pack.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository, without a slash at its end. */
export const root = resolve(fileURLToPath(new URL("../..", import.meta.url)));

/** The shared goldens and data beside the repository. */
export const shared = process.env.INSULA_SHARED ?? resolve(root, "../shared");

const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** How the README calls pnpm: this exact version, fetched where it is not there. */
export const pnpm = ["npx", "--yes", packageManager];

/** Every package.json of the workspace, with its folder. */
export function members() {
  return ["packages", "apps", "tools"].flatMap((group) =>
    readdirSync(join(root, group))
      .map((name) => join(root, group, name))
      .filter((dir) => existsSync(join(dir, "package.json")))
      .map((dir) => ({ dir, ...JSON.parse(readFileSync(join(dir, "package.json"), "utf8")) })),
  );
}

/** Run a command to its end; throws with its output when it fails. Returns what it wrote on stdout. */
export function run([command, ...args], { cwd = root, env = process.env } = {}) {
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, {
    cwd,
    env,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (status === 0) return stdout;
  const why = error?.message ?? signal ?? `exit code ${status}`;
  throw new Error(`${[command, ...args].join(" ")} (in ${cwd}): ${why}\n${stdout}\n${stderr}`);
}

/** `tsc -b` of these folders. */
export function build(dirs) {
  run([process.execPath, join(root, "node_modules/typescript/bin/tsc"), "-b", ...dirs]);
}

/**
 * `pnpm pack` of these members into folder `into`, built first; pnpm writes versions where `workspace:` stood.
 * Returns name → path of the tarball.
 */
export function pack(wanted, into) {
  build(wanted.map((m) => m.dir));
  // Built above, once for all; and packing must not install.
  const config = ["--config.ignore-scripts=true", "--config.verify-deps-before-run=false"];
  const filters = wanted.flatMap((m) => ["--filter", m.name]);
  const out = run([...pnpm, ...config, ...filters, "pack", "--json", "--pack-destination", into]);
  return new Map(
    [JSON.parse(out)].flat().map(({ name, filename }) => [name, join(into, basename(filename))]),
  );
}
