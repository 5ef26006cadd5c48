/** @file Which code wrote a checkpoint: `git describe` in a checkout of this project, the package's version elsewhere. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** From `src/checkpoint` as from `dist/checkpoint`. */
const PACKAGE = fileURLToPath(new URL("../../package.json", import.meta.url));

let known: Promise<string> | undefined;

/** For example `v0.2.0-3-g1a2b3c4`, `0.1.0+1a2b3c4-dirty` where no tag was made yet, `0.1.0` for an installed package. */
export function codeVersion(): Promise<string> {
  known ??= findVersion();
  return known;
}

async function findVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(PACKAGE, "utf8")) as { version: string };
  try {
    // In node_modules of another project git would describe that one: this file must be the repository's own.
    await git("ls-files", "--error-unmatch", PACKAGE);
    const described = await git("describe", "--tags", "--always", "--dirty");
    return described.startsWith("v") ? described : `${version}+${described}`;
  } catch {
    return version;
  }
}

async function git(...args: string[]): Promise<string> {
  const options = { cwd: dirname(PACKAGE), timeout: 5000 };
  const { stdout } = await promisify(execFile)("git", args, options);
  return stdout.trim();
}
