/**
 * @file The numeric columns of a dataset, each in one flat typed array over all frames. Columns are read on
 * demand, several in one pass over the data files, and never together with images.
 */
import { InsulaError, type NdArray, sizeOf, type TypedArray } from "@insula/model-types";
import type { Features, NumericDtype } from "../features.js";
import { isNumeric } from "../features.js";
import { insideRoot } from "../paths.js";
import type { Episode } from "./episodes.js";
import { openParquet } from "./parquet.js";

/** A loaded column: numbers `[totalFrames, ...shape]`, or one string per frame. */
export type Column = { kind: "numeric"; array: NdArray } | { kind: "text"; values: string[] };

export interface ColumnStore {
  /** The given columns, loading those that are not there yet in one pass. */
  load(names: readonly string[]): Promise<Column[]>;
}

/** Data files read at the same time. */
const CONCURRENT_FILES = 4;

/** Columns of the given episodes; nothing is read before `load`. */
export function columnStore(root: string, features: Features, episodes: readonly Episode[]): ColumnStore {
  const frames = episodes.at(-1)?.to ?? 0;
  const loaded = new Map<string, Promise<Column>>();
  return {
    load(names) {
      const missing = names.filter((name) => !loaded.has(name));
      if (missing.length > 0) {
        const pass = readColumns(root, features, episodes, frames, missing);
        for (const [i, name] of missing.entries()) {
          const column = pass.then((columns) => columns[i]!);
          column.catch(() => loaded.delete(name)); // A failure is reported to whoever asks, and asked again.
          loaded.set(name, column);
        }
      }
      return Promise.all(names.map((name) => loaded.get(name)!));
    },
  };
}

async function readColumns(
  root: string,
  features: Features,
  episodes: readonly Episode[],
  frames: number,
  names: readonly string[],
): Promise<Column[]> {
  const columns = names.map((name): Column => {
    const { dtype, shape } = features[name]!;
    if (!isNumeric(dtype)) return { kind: "text", values: new Array<string>(frames).fill("") };
    return {
      kind: "numeric",
      array: { data: storageOf(dtype, frames * sizeOf(shape)), shape: [frames, ...shape] },
    };
  });
  const files = filesOf(episodes);
  const work = files[Symbol.iterator]();
  await Promise.all(
    Array.from({ length: Math.min(CONCURRENT_FILES, files.length) }, async () => {
      for (const [path, inFile] of work) await readFileInto(insideRoot(root, path), inFile, names, columns);
    }),
  );
  return columns;
}

/** Episodes by data file, in order. */
function filesOf(episodes: readonly Episode[]): [string, Episode[]][] {
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
    // One row group at a time: hyparquet's nested arrays are an order of magnitude larger than the typed ones.
    for (let g = 0; g + 1 < file.groups.length; g++) {
      await file.read(names, file.groups[g]!, file.groups[g + 1]!, (name, values, firstRow) => {
        const column = columns[names.indexOf(name)]!;
        if (column.kind === "numeric") fill(name, column.array, values, firstRow, byRow);
        else
          for (let i = 0; i < values.length; i++)
            column.values[byRow(firstRow + i).frame] = String(values[i]);
      });
    }
  } finally {
    await file.close();
  }
}

type RowLocator = (row: number) => { episode: Episode; frame: number };

/** Row of a file → its episode and its frame in the dataset. Rows are asked for in runs, so the last hit is kept. */
function rowLocator(episodes: readonly Episode[]): RowLocator {
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
    if (problem === "null") {
      const where = `episode ${episode.index}, frame ${frame - episode.from}`;
      throw new InsulaError("dataset/null", `${name}: null in ${where}`);
    }
  }
}

/** Copy one cell, a number or nested lists of shape `dims[depth…]`, to `data[at…]`; the problem, if any. */
function copyCell(
  cell: unknown,
  dims: readonly number[],
  depth: number,
  data: TypedArray,
  at: number,
): "null" | "width" | undefined {
  if (cell === null || cell === undefined) return "null";
  if (typeof cell !== "object") {
    // A scalar stands for any remaining axes of length 1: shape [1] is a plain column.
    for (let d = depth; d < dims.length; d++) if (dims[d] !== 1) return "width";
    if (data instanceof BigInt64Array) data[at] = BigInt(cell as number);
    else (data as Float32Array)[at] = Number(cell);
    return undefined;
  }
  const list = cell as ArrayLike<unknown>;
  if (depth === dims.length || list.length !== dims[depth]) return "width";
  let stride = 1;
  for (let d = depth + 1; d < dims.length; d++) stride *= dims[d]!;
  for (let i = 0; i < list.length; i++) {
    const problem = copyCell(list[i], dims, depth + 1, data, at + i * stride);
    if (problem) return problem;
  }
  return undefined;
}

function wrongWidth(name: string, dims: readonly number[], cell: unknown, episode: Episode): never {
  const found: number[] = [];
  for (let c = cell; typeof c === "object" && c !== null; c = (c as ArrayLike<unknown>)[0]) {
    found.push((c as ArrayLike<unknown>).length);
  }
  throw new InsulaError(
    "dataset/shape",
    `${name}: expected [*, ${dims.join(", ")}], found [${[".." as string | number, ...found].join(", ")}] in episode ${episode.index}`,
  );
}

function storageOf(dtype: NumericDtype, length: number): TypedArray {
  switch (dtype) {
    case "float64":
      return new Float64Array(length);
    case "float32":
      return new Float32Array(length);
    case "int64":
      return new BigInt64Array(length);
    case "int32":
      return new Int32Array(length);
    case "int16":
      return new Int16Array(length);
    case "int8":
      return new Int8Array(length);
    case "uint32":
      return new Uint32Array(length);
    case "uint16":
      return new Uint16Array(length);
    default:
      return new Uint8Array(length);
  }
}
