/** @file norm_stats.json on disk. The only part of this package that needs Node. */
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InsulaError } from "@insula/model-types";
import { type NormStats, type NormStatsMap, parseNormStats, serializeNormStats } from "./stats/norm-stats.js";

/** The file's name inside an asset folder, as in openpi's checkpoints. */
export const NORM_STATS_FILE = "norm_stats.json";

/**
 * Read `<directory>/norm_stats.json`, or `directory` itself when it names a `.json` file.
 * @throws InsulaError `norm-stats/not-found`, and as parseNormStats.
 */
export async function readNormStats(directory: string): Promise<Record<string, NormStats>> {
  const path = statsPath(directory);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
    throw new InsulaError(
      "norm-stats/not-found",
      `readNormStats: Norm stats file not found at: ${path}; compute it from the dataset first`,
      { cause },
    );
  }
  return parseNormStats(text, path);
}

/**
 * Write `<directory>/norm_stats.json` (or the `.json` file `directory`), making the folder. Beside, fsync,
 * rename: a reader sees the old file or the new one. Returns the path.
 */
export async function writeNormStats(directory: string, stats: NormStatsMap): Promise<string> {
  const path = statsPath(directory);
  const text = serializeNormStats(stats);
  await mkdir(dirname(path), { recursive: true });
  const beside = `${path}.${process.pid}.partial`;
  try {
    const handle = await open(beside, "w");
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  return path;
}

const statsPath = (directory: string): string =>
  directory.endsWith(".json") ? directory : join(directory, NORM_STATS_FILE);
