/** @file A zarr store seen as keys and values, whatever it lies in: folders of files, or an OCDBT database. */
import { readdir, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { InsulaError } from "@insula/model-types";
import type { ByteRange } from "./byte-range.js";

/** Every key and where its value lies. */
export type KeyValueStore = ReadonlyMap<string, ByteRange>;

/** Most keys that a store may have: a checkpoint has about fifty arrays, cut into at most hundreds of chunks. */
export const MAX_KEYS = 1_000_000;

/** A folder as a store: its files, under relative paths with `/`. Links are not followed. */
export async function readFolderStore(root: string): Promise<KeyValueStore> {
  const store = new Map<string, ByteRange>();
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const { size } = await stat(path);
    store.set(relative(root, path).split(sep).join("/"), { path, offset: 0, length: size });
    if (store.size > MAX_KEYS)
      throw new InsulaError("weights/format", `${root}: more than ${MAX_KEYS} files`);
  }
  return store;
}
