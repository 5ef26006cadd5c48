/**
 * @file Folders, made one level at a time: Node's recursive mkdir never returns where a file system answers
 * ENOENT inside a folder that exists (Linux's /proc does).
 */
import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** Make `dir` and the folders above it. @throws the file system's error for the first that cannot be made. */
export async function makeDir(dir: string): Promise<void> {
  const missing: string[] = [];
  let at = dir;
  while (!(await isThere(at))) {
    missing.push(at);
    at = dirname(at);
  }
  for (const path of missing.reverse()) {
    await mkdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error; // somebody else made it meanwhile
    });
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}
