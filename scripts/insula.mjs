#!/usr/bin/env node
/**
 * pnpm insula ARGS   (or: pnpm train ARGS)
 *
 * Builds what is stale (`tsc -b`, incremental) and runs the `insula` command with ARGS.
 * Flags and the exit code pass through unchanged.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const cli = `${root}apps/trainer/dist/cli.js`;
const tsc = `${root}node_modules/typescript/bin/tsc`;

if (!existsSync(cli)) process.stderr.write("insula: building (first run)\n");
const build = spawnSync(process.execPath, [tsc, "-b"], { cwd: root, stdio: ["ignore", 2, 2] });
if (build.status !== 0) {
  process.stderr.write("insula: the build failed; see the messages above\n");
  process.exit(build.status ?? 1);
}

const child = spawn(process.execPath, [cli, ...process.argv.slice(2)], { stdio: "inherit" });
// A terminal sends Ctrl-C to the whole group; forward only what arrives at this process alone.
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
process.on("SIGINT", () => {});
child.on("exit", (code, signal) => {
  if (signal) process.kill(process.pid, signal);
  process.exit(code ?? 1);
});
