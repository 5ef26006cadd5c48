/**
 * @file The peers' packages. No part of the workspace: installed on first use, at these versions, into a cache
 * folder that git ignores.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const VERSIONS = {
  "@jax-js/jax": "0.1.25",
  "@tensorflow/tfjs": "4.22.0",
  "@tensorflow/tfjs-backend-wasm": "4.22.0",
};
const root = fileURLToPath(new URL("../../../..", import.meta.url));
const cache = join(root, "node_modules/.cache/insula-bench/js-peers");

/** Load one of the packages. */
export const load = createRequire(join(cache, "load.cjs"));

function installed(name) {
  try {
    return JSON.parse(readFileSync(join(cache, "node_modules", name, "package.json"), "utf8")).version;
  } catch {
    return undefined;
  }
}

/** Install what is not there. Throws with the first of npm's words when that fails. */
export function installPeers() {
  if (Object.entries(VERSIONS).every(([name, version]) => installed(name) === version)) return;
  const wanted = Object.entries(VERSIONS).map(([name, version]) => `${name}@${version}`);
  console.log(`installing ${wanted.join(", ")} into ${relative(root, cache)}`);
  mkdirSync(cache, { recursive: true });
  const flags = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const { status, error, stderr } = spawnSync("npm", ["install", ...flags, "--prefix", cache, ...wanted], {
    encoding: "utf8",
    timeout: 300_000,
  });
  if (status === 0) return;
  throw new Error(
    `the peers could not be installed: npm did not get ${wanted.join(", ")}. The registry is needed on first use ` +
      `only; try again where it can be reached, or name another one (npm_config_registry).\n` +
      (error?.message ?? stderr.split("\n").slice(0, 4).join("\n")),
  );
}
