/** @file A golden folder as a list of directories and the files in each. */
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { InsulaError } from "@insula/model-types";

/** A golden folder. Paths inside are relative to `root`, with `/`; the root itself is `""`. */
export interface GoldenFolder {
  /** Name in reports, and of the sub-folder of `--out`. */
  name: string;
  root: string;
  /** Directory → names of its files, sorted. */
  directories: ReadonlyMap<string, readonly string[]>;
}

/**
 * List a folder.
 * @throws InsulaError `verify/no-folder`.
 */
export async function openGolden(root: string, name: string = basename(root)): Promise<GoldenFolder> {
  const directories = new Map<string, string[]>();
  let entries: Awaited<ReturnType<typeof list>>;
  try {
    entries = await list(root);
  } catch (cause) {
    throw new InsulaError("verify/no-folder", `--golden ${root}: ${(cause as Error).message}`, { cause });
  }
  for (const { dir, file } of entries) {
    const files = directories.get(dir);
    if (files) files.push(file);
    else directories.set(dir, [file]);
  }
  return { name, root, directories };
}

async function list(root: string, dir = ""): Promise<{ dir: string; file: string }[]> {
  const entries = await readdir(join(root, dir), { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  const files = entries.filter((e) => !e.isDirectory()).map((e) => ({ dir, file: e.name }));
  const below = await Promise.all(
    entries.filter((e) => e.isDirectory()).map((e) => list(root, joinPath(dir, e.name))),
  );
  return [...files, ...below.flat()];
}

/** `a/b`, `b` when `a` is the root. */
export function joinPath(dir: string, name: string): string {
  return dir ? `${dir}/${name}` : name;
}

/** Names for several folders: their base names, made different where they are equal. */
export function folderNames(roots: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return roots.map((root) => {
    const name = basename(root) || "golden";
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count === 1 ? name : `${name}-${count}`;
  });
}
