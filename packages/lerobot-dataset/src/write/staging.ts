/**
 * @file Making new files visible all at once, or nearly: they are written and synced in a hidden folder of the
 * dataset, then renamed into place, meta/info.json last. A process killed between two renames leaves the old
 * info.json, which says how many episodes count. The folder is also the lock of the one writer.
 */
import { existsSync } from "node:fs";
import { mkdir, open, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join, sep } from "node:path";
import { InsulaError } from "@insula/model-types";
import { insideRoot } from "../paths.js";

/** The folder in a dataset where its writer prepares files. Readers of any kind do not look there. */
export const STAGING = ".writing";
const OWNER = "owner.json";

/** Files on their way into a dataset; paths are relative to the dataset. */
export interface Staging {
  /** Where to write the file that will be `path`; its folder is made. It is synced when it is put into place. */
  prepare(path: string): Promise<string>;
  /** Write a whole small file. */
  write(path: string, contents: string | Uint8Array): Promise<void>;
  /** Forget a prepared file. */
  discard(path: string): Promise<void>;
  /** Rename all prepared files into place, `last` after all others. */
  commit(order: (path: string) => number): Promise<void>;
  /** Use the dataset where it is now: its folder was renamed. */
  moveTo(root: string): void;
  /** Remove the folder, and with it the lock. */
  release(): Promise<void>;
}

/**
 * Take the dataset at `root` for writing.
 * @param onRename called after each rename of a commit.
 * @throws InsulaError `dataset/locked` when another writer, alive or on another machine, has it.
 */
export async function openStaging(root: string, onRename?: (path: string) => void): Promise<Staging> {
  await takeLock(root);
  const prepared = new Set<string>();
  const at = (path: string): string => join(root, STAGING, path);
  const prepare = async (path: string): Promise<string> => {
    await mkdir(dirname(at(path)), { recursive: true });
    prepared.add(path);
    return at(path);
  };
  return {
    prepare,
    async write(path, contents) {
      await writeFile(await prepare(path), contents);
    },
    async discard(path) {
      prepared.delete(path);
      await rm(at(path), { force: true });
    },
    async commit(order) {
      const paths = [...prepared].sort((a, b) => order(a) - order(b));
      for (const path of paths) {
        await checkInside(root, path);
        await syncPath(at(path));
      }
      const last = paths.at(-1);
      for (const path of paths) {
        // All that the last file names is on the disk before it is.
        if (path === last) await syncFolders(root, paths);
        await mkdir(dirname(join(root, path)), { recursive: true });
        await rename(at(path), join(root, path));
        prepared.delete(path);
        onRename?.(path);
      }
      if (last !== undefined) await syncFolders(root, [last]);
    },
    moveTo(moved) {
      root = moved;
    },
    async release() {
      await rm(join(root, STAGING), { recursive: true, force: true });
    },
  };
}

/**
 * A dataset from elsewhere may have links for folders: nothing is put behind those that lead out of it.
 * @throws InsulaError `dataset/path-escapes`
 */
export async function checkInside(root: string, path: string): Promise<void> {
  let folder = dirname(insideRoot(root, path));
  while (!existsSync(folder)) folder = dirname(folder);
  const [real, inside] = [await realpath(folder), await realpath(root)];
  if (real === inside || real.startsWith(inside + sep)) return;
  throw new InsulaError("dataset/path-escapes", `${folder}: is a link to ${real}, outside the dataset`);
}

/** Remove what a dead writer prepared, or refuse while it lives. */
async function takeLock(root: string): Promise<void> {
  const folder = join(root, STAGING);
  await mkdir(root, { recursive: true });
  const text = await readFile(join(folder, OWNER), "utf8").catch(() => undefined);
  const owner = parseOwner(text);
  const refuse = (who: string): never => {
    throw new InsulaError(
      "dataset/locked",
      `${root}: ${who} is writing this dataset; if that is not so, delete ${folder}`,
    );
  };
  if (owner && (owner.host !== hostname() || isAlive(owner.pid))) {
    refuse(`process ${owner.pid} on ${owner.host}`);
  }
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder).catch(() => refuse("another process")); // It has just taken the lock.
  await writeFile(join(folder, OWNER), JSON.stringify({ pid: process.pid, host: hostname() }));
}

function parseOwner(text: string | undefined): { pid: number; host: string } | undefined {
  try {
    const owner = JSON.parse(text ?? "") as { pid?: unknown; host?: unknown };
    if (typeof owner.pid !== "number" || typeof owner.host !== "string") return undefined;
    return { pid: owner.pid, host: owner.host };
  } catch {
    return undefined; // Killed before it had written its name.
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function syncFolders(root: string, paths: readonly string[]): Promise<void> {
  const folders = new Set<string>();
  for (const path of paths) {
    for (let dir = dirname(path); dir !== "."; dir = dirname(dir)) folders.add(join(root, dir));
  }
  for (const dir of [...folders, root]) await syncPath(dir).catch(() => {}); // Not every file system can.
}

/** See a file, or a folder's entries, on the disk. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
