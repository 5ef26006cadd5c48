/**
 * @file Writing that a power cut does not undo: contents synced before anything is renamed over them. Of use to
 * whoever keeps checkpoints; nothing of the format.
 */
import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";

/** Write a file, its folder with it, and see it on the disk. */
export async function writeSynced(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "w");
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Make renames and new files in `dir` survive a power cut. */
export async function syncFolder(dir: string): Promise<void> {
  const folder = await open(dir, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
