/**
 * @file The numeric columns of a dataset, each in one flat typed array over all frames. Columns are read on
 * demand, several in one pass over the data files, and never together with images.
 */
import { stat } from "node:fs/promises";
import { InsulaError, type NdArray, sizeOf } from "@insula/model-types";
import type { Features } from "../features.js";
import { isNumeric } from "../features.js";
import { forEachOf } from "../for-each-of.js";
import { copyCell, shapeOfCell, storageOf } from "./cells.js";
import { type Column, type SharedColumns, shareColumn } from "./column.js";
import type { Episode } from "./episodes.js";
import { maxRows } from "./parquet/footer.js";
import { openParquet } from "./parquet.js";
import type { DatasetRoot } from "./root.js";

export interface ColumnStore {
  /** The given columns, loading those that are not there yet in one pass. */
  load(names: readonly string[]): Promise<Column[]>;
  /** The same, moved to memory that threads share. */
  share(names: readonly string[]): Promise<SharedColumns>;
}

/** Data files read at the same time. */
const CONCURRENT_FILES = 4;

/** Columns of the given episodes; nothing is read before `load`, and what is `known` never is. */
export function columnStore(
  root: DatasetRoot,
  features: Features,
  episodes: readonly Episode[],
  known: SharedColumns = new Map(),
): ColumnStore {
  const frames = episodes.at(-1)?.to ?? 0;
  const loaded = new Map([...known].map(([name, column]) => [name, Promise.resolve(column)]));
  const verified = new Set<string>();
  const store: ColumnStore = {
    load(names) {
      const missing = names.filter((name) => !loaded.has(name));
      if (missing.length > 0) {
        const pass = readColumns(root, features, episodes, frames, missing, verified);
        for (const [i, name] of missing.entries()) {
          const column = pass.then((columns) => columns[i]!);
          column.catch(() => loaded.delete(name)); // A failure is reported to whoever asks, and asked again.
          loaded.set(name, column);
        }
      }
      return Promise.all(names.map((name) => loaded.get(name)!));
    },
    async share(names) {
      const columns = (await store.load(names)).map(shareColumn);
      for (const [i, name] of names.entries()) loaded.set(name, Promise.resolve(columns[i]!));
      return new Map(names.map((name, i) => [name, columns[i]!]));
    },
  };
  return store;
}

async function readColumns(
  root: DatasetRoot,
  features: Features,
  episodes: readonly Episode[],
  frames: number,
  names: readonly string[],
  verified: Set<string>,
): Promise<Column[]> {
  const files = filesOf(episodes);
  await checkSizes(root, files);
  const columns = names.map((name): Column => {
    const { dtype, shape } = features[name]!;
    if (!isNumeric(dtype)) return { kind: "text", values: new Array<string>(frames).fill("") };
    return {
      kind: "numeric",
      array: { data: storageOf(dtype, frames * sizeOf(shape)), shape: [frames, ...shape] },
    };
  });
  await forEachOf(files, CONCURRENT_FILES, async ([path, inFile]) => {
    await readFileInto(await root.file(path), inFile, names, columns, verified);
  });
  return columns;
}

/** Episodes by data file, in order. */
export function filesOf(episodes: readonly Episode[]): [string, Episode[]][] {
  const files = new Map<string, Episode[]>();
  for (const episode of episodes) {
    const inFile = files.get(episode.data.path);
    if (inFile) inFile.push(episode);
    else files.set(episode.data.path, [episode]);
  }
  return [...files];
}

async function readFileInto(
  path: string,
  episodes: readonly Episode[],
  names: readonly string[],
  columns: readonly Column[],
  verified: Set<string>,
): Promise<void> {
  const file = await openParquet(path);
  try {
    const expected = episodes.reduce((sum, e) => sum + e.length, 0);
    if (file.rows !== expected) {
      throw new InsulaError(
        "dataset/counts",
        `${path}: expected ${expected} rows (episodes ${episodes[0]!.index} to ${episodes.at(-1)!.index}), found ${file.rows}`,
      );
    }
    for (const name of names) {
      if (file.columns.includes(name)) continue;
      throw new InsulaError(
        "dataset/missing-key",
        `${path}: meta/info.json names '${name}', but the file has only ${file.columns.join(", ")}`,
      );
    }
    const byRow = rowLocator(episodes);
    const counters = verified.has(path) ? [] : COUNTERS.filter((name) => file.columns.includes(name));
    const wanted = [...new Set([...names, ...counters])];
    // One row group at a time: hyparquet's nested arrays are an order of magnitude larger than the typed ones.
    for (let g = 0; g + 1 < file.groups.length; g++) {
      await file.read(wanted, file.groups[g]!, file.groups[g + 1]!, (name, values, firstRow) => {
        if (counters.includes(name)) checkCounter(path, name, values, firstRow, byRow);
        if (!names.includes(name)) return;
        const column = columns[names.indexOf(name)]!;
        if (column.kind === "numeric") fill(name, column.array, values, firstRow, byRow);
        else
          for (let i = 0; i < values.length; i++)
            column.values[byRow(firstRow + i).frame] = String(values[i]);
      });
    }
    verified.add(path);
  } finally {
    await file.close();
  }
}

/** The columns that say which row is which; held against the episode table the first time a file is read. */
const COUNTERS: readonly string[] = ["episode_index", "frame_index"];

function checkCounter(
  path: string,
  name: string,
  values: ArrayLike<unknown>,
  firstRow: number,
  byRow: RowLocator,
): void {
  for (let i = 0; i < values.length; i++) {
    const { episode, frame } = byRow(firstRow + i);
    const expected = name === "episode_index" ? episode.index : frame - episode.from;
    if (Number(values[i]) === expected) continue;
    throw new InsulaError(
      "dataset/counts",
      `${path}: row ${firstRow + i}: expected ${name} ${expected} by the episode table, found ${String(values[i])}`,
    );
  }
}

/** The columns are allocated by what the metadata say; so first, whether the files can hold as many rows. */
async function checkSizes(root: DatasetRoot, files: readonly [string, readonly Episode[]][]): Promise<void> {
  for (const [relative, episodes] of files) {
    const path = await root.file(relative);
    const found = await stat(path).catch(() => undefined);
    const rows = episodes.reduce((sum, e) => sum + e.length, 0);
    if (rows <= maxRows(found?.size ?? 0)) continue;
    if (!found) {
      throw new InsulaError(
        "dataset/missing-file",
        `${path}: the dataset names this file, but it is not there`,
      );
    }
    throw new InsulaError(
      "dataset/counts",
      `${path}: expected ${rows} rows, found a file of ${found.size} bytes`,
    );
  }
}

export type RowLocator = (row: number) => { episode: Episode; frame: number };

/** Row of a file → its episode and its frame in the dataset. Rows are asked for in runs, so the last hit is kept. */
export function rowLocator(episodes: readonly Episode[]): RowLocator {
  let at = 0;
  return (row) => {
    while (at > 0 && row < episodes[at]!.data.row) at--;
    while (row >= episodes[at]!.data.row + episodes[at]!.length) at++;
    const episode = episodes[at]!;
    return { episode, frame: episode.from + row - episode.data.row };
  };
}

/** Copy a chunk of cells into the rows they belong to, checking every width. */
function fill(
  name: string,
  { data, shape }: NdArray,
  values: ArrayLike<unknown>,
  firstRow: number,
  byRow: RowLocator,
): void {
  const dims = shape.slice(1);
  const dim = sizeOf(dims);
  for (let i = 0; i < values.length; i++) {
    const { frame, episode } = byRow(firstRow + i);
    const problem = copyCell(values[i], dims, 0, data, frame * dim);
    if (problem === "width") wrongWidth(name, dims, values[i], episode);
    if (problem === undefined) continue;
    const where = `episode ${episode.index}, frame ${frame - episode.from}`;
    if (problem === "null") throw new InsulaError("dataset/null", `${name}: null in ${where}`);
    throw new InsulaError("dataset/dtype", `${name}: expected numbers, found others in ${where}`);
  }
}

function wrongWidth(name: string, dims: readonly number[], cell: unknown, episode: Episode): never {
  throw new InsulaError(
    "dataset/shape",
    `${name}: expected [*, ${dims.join(", ")}], found [${["..", ...shapeOfCell(cell)].join(", ")}] in episode ${episode.index}`,
  );
}
