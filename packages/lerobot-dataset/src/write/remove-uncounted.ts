/**
 * @file What a killed writer left: episodes listed that meta/info.json does not count, and files of theirs. Only files
 * numbered behind the last one in use are removed; anything else is left alone.
 */
import { existsSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InsulaError } from "@insula/model-types";
import { EPISODES_PATH, expandTemplate } from "../paths.js";
import { type DatasetInfo, videoNames } from "../read/info.js";
import type { DatasetRoot } from "../read/root.js";
import type { Beginning } from "./begin.js";
import { locationOf } from "./data-files.js";
import type { EpisodeTables } from "./episode-tables.js";
import { checkInside, STAGING, syncPath } from "./staging.js";
import { type TableRow, tableBytes } from "./table-file.js";

/** The rows that count, and the numbers that the next files of each kind get. */
export interface Counted {
  rows: readonly TableRow[];
  next: Beginning["next"];
}

/** Bring the dataset back to what info.json counts. The caller holds its lock. */
export async function removeUncounted(
  root: DatasetRoot,
  info: DatasetInfo,
  { tables, columns }: EpisodeTables,
): Promise<Counted> {
  const counts = (row: TableRow): boolean => Number(row["episode_index"]) < info.totalEpisodes;
  const rows = tables.flatMap((table) => table.rows).filter(counts);
  if (rows.length !== info.totalEpisodes) {
    throw new InsulaError(
      "dataset/counts",
      `${root.path}: meta/info.json says total_episodes ${info.totalEpisodes}, the episode table has ${rows.length}`,
    );
  }
  for (const { path, rows: of } of tables) {
    const kept = of.filter(counts);
    if (kept.length === of.length) continue;
    if (kept.length === 0) await rm(join(root.path, path));
    else await replace(root.path, path, tableBytes(columns, kept));
  }
  const { chunksSize } = info;
  const after = (prefix: string): number => {
    const number = (row: TableRow): number =>
      Number(row[`${prefix}/chunk_index`]) * chunksSize + Number(row[`${prefix}/file_index`]);
    return rows.reduce((next, row) => Math.max(next, number(row) + 1), 0);
  };
  const path = (template: string, count: number, video_key = ""): string => {
    const at = locationOf(count, chunksSize);
    return expandTemplate(template, { chunk_index: at.chunk, file_index: at.file, video_key });
  };
  const data = after("data");
  await removeFrom(root.path, (count) => path(info.dataPath, count), data);
  const videos = new Map<string, number>();
  for (const name of videoNames(info.features)) {
    const next = after(`videos/${name}`);
    videos.set(name, next);
    await removeFrom(root.path, (count) => path(info.videoPath!, count, name), next);
  }
  const taken = new Set(tables.map((table) => table.path));
  let table = 0;
  while (taken.has(path(EPISODES_PATH, table))) table++;
  return { rows, next: { data, table, videos } };
}

async function replace(root: string, path: string, bytes: Uint8Array): Promise<void> {
  const beside = join(root, STAGING, "table.parquet");
  await writeFile(beside, bytes);
  await syncPath(beside);
  await rename(beside, join(root, path));
}

/** Remove the files numbered `from` and on, as many as there are without a gap. */
async function removeFrom(root: string, pathOf: (count: number) => string, from: number): Promise<void> {
  for (let count = from; existsSync(join(root, pathOf(count))); count++) {
    await checkInside(root, pathOf(count));
    await rm(join(root, pathOf(count)));
  }
}
