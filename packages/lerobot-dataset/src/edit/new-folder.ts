/** @file An output folder that must be new, and goes again when the work fails. */
import { mkdir, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { InsulaError } from "@insula/model-types";

/**
 * Make `dir`, run `work`, and remove `dir` if that throws.
 * @throws InsulaError `dataset/exists` when `dir` is there already.
 */
export async function inNewFolder<T>(dir: string, work: (dir: string) => Promise<T>): Promise<T> {
  const path = resolve(dir);
  await mkdir(dirname(path), { recursive: true });
  await mkdir(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== "EEXIST") throw cause;
    throw new InsulaError("dataset/exists", `${path} exists; remove it or choose another folder`, { cause });
  });
  try {
    return await work(path);
  } catch (error) {
    await rm(path, { recursive: true, force: true });
    throw error;
  }
}
