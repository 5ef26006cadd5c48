/** @file The rows of the data files, a row group at a time. */
import { InsulaError } from "@insula/model-types";
import { rowLocator } from "../read/columns.js";
import type { Episode } from "../read/episodes.js";
import { openParquet, type ParquetFile } from "../read/parquet.js";
import type { DatasetRoot } from "../read/root.js";
import { type Problem, problemOf } from "./problem.js";
import type { CellCheck } from "./row-checks.js";

/**
 * Run `checks` over every row of a data file.
 * @param required columns that have to be there; without it, nothing is told of the file itself.
 */
export async function* checkDataFile(
  root: DatasetRoot,
  path: string,
  episodes: readonly Episode[],
  checks: ReadonlyMap<string, CellCheck>,
  required?: readonly string[],
): AsyncGenerator<Problem> {
  let file: ParquetFile;
  try {
    file = await openParquet(await root.file(path));
  } catch (error) {
    if (!(error instanceof InsulaError)) throw error;
    if (required) yield problemOf(error, root.path, path);
    return;
  }
  try {
    const expected = episodes.reduce((sum, e) => sum + e.length, 0);
    if (required && file.rows !== expected) {
      const of = episodes.length === 1 ? `episode ${episodes[0]!.index}` : `${episodes.length} episodes`;
      const message = `expected ${expected} rows for ${of}, found ${file.rows}`;
      yield { code: "dataset/counts", file: path, message };
    }
    for (const name of required ?? []) {
      if (file.columns.includes(name)) continue;
      const message = `meta/info.json names '${name}', but there is no such column`;
      yield { code: "dataset/missing-key", file: path, message };
    }
    const names = [...checks.keys()].filter((name) => file.columns.includes(name));
    if (names.length > 0)
      yield* checkGroups(file, path, Math.min(expected, file.rows), names, episodes, checks);
  } catch (error) {
    if (!(error instanceof InsulaError)) throw error;
    if (required) yield problemOf(error, root.path, path);
  } finally {
    await file.close();
  }
}

async function* checkGroups(
  file: ParquetFile,
  path: string,
  rows: number,
  names: readonly string[],
  episodes: readonly Episode[],
  checks: ReadonlyMap<string, CellCheck>,
): AsyncGenerator<Problem> {
  const locate = rowLocator(episodes);
  for (let g = 0; g + 1 < file.groups.length && file.groups[g]! < rows; g++) {
    const found: (Problem & { at: number })[] = [];
    await file.read(names, file.groups[g]!, file.groups[g + 1]!, (name, values, firstRow) => {
      const check = checks.get(name)!;
      for (let i = 0; i < values.length && firstRow + i < rows; i++) {
        const { episode, frame } = locate(firstRow + i);
        const row = frame - episode.from;
        check(values[i], { episode, row }, (code, message) =>
          found.push({ code, file: path, episode: episode.index, row, message, at: firstRow + i }),
        );
      }
    });
    found.sort((a, b) => a.at - b.at);
    for (const { at: _, ...problem } of found) yield problem;
  }
}
