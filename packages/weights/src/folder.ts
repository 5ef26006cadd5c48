/** @file A folder that is complete or absent: filled beside, synced, renamed. */
import { mkdir, readdir, rename, rm, rmdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { InsulaError } from "@insula/model-types";
import { syncFolder, writeSynced } from "@insula/safetensors";

/**
 * Make the folder `out` from what `fill` writes into the one it is given, and the JSON files that it returns by
 * name. An empty folder may be there already.
 * @throws InsulaError `weights/exists`; what `fill` throws, nothing being left behind.
 */
export async function writeNew(
  out: string,
  fill: (dir: string) => Promise<Readonly<Record<string, object>>>,
): Promise<void> {
  const target = resolve(out);
  await assertNew(out);
  const beside = join(dirname(target), `.${basename(target)}.partial`);
  await rm(beside, { recursive: true, force: true });
  await mkdir(beside, { recursive: true });
  try {
    for (const [name, content] of Object.entries(await fill(beside)))
      await writeSynced(join(beside, name), `${JSON.stringify(content, null, 2)}\n`);
    await rmdir(target).catch(() => undefined); // an empty folder
    await syncFolder(beside);
    await rename(beside, target);
    await syncFolder(dirname(target));
  } catch (error) {
    await rm(beside, { recursive: true, force: true });
    throw error;
  }
}

/** @throws InsulaError `weights/exists` when something is in `out`. */
export async function assertNew(out: string): Promise<void> {
  const names = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    if (error.code === "ENOTDIR") return ["a file"];
    throw error;
  });
  if (names.length > 0)
    throw new InsulaError("weights/exists", `${out}: is there already; give a new folder`);
}
