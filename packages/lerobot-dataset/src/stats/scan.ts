/**
 * @file The numbers of a dataset, episode by episode, without holding a column: for statistics over sets that are
 * larger than memory. Images and videos are not touched.
 */
import { InsulaError, sizeOf } from "@insula/model-types";
import { isNumeric } from "../features.js";
import type { LeRobotDataset } from "../read/dataset.js";
import type { Episode } from "../read/episodes.js";
import { datasetRoot } from "../read/root.js";
import { resolveKey } from "../read/sample.js";
import type { EpisodeSource } from "../view/episode-source.js";
import { allocateBatch, type EpisodeBatch, episodeBatches, episodesByFile } from "./batches.js";
import { duckdbRows, hasDuckDB } from "./duckdb-rows.js";
import { hyparquetRows } from "./hyparquet-rows.js";
import type { DataFile, RowProblem, RowReader } from "./rows.js";

/** What reads the data files: DuckDB (optional package @duckdb/node-api) or hyparquet. Both give the same numbers. */
export type ScanEngine = "duckdb" | "hyparquet";

/** Which episodes to read, in what portions, and with what. */
export interface ScanOptions {
  /** `episode_index` of those to read. Default: all. */
  episodes?: Iterable<number>;
  /** A batch ends with the episode that reaches this number of frames. Default: 16 384. */
  batchFrames?: number;
  /** Default: DuckDB from 200 000 frames on, where it is installed; else hyparquet. */
  engine?: ScanEngine;
}

const BATCH_FRAMES = 16_384;
/** Below, DuckDB's start costs more than it saves. */
const DUCKDB_FRAMES = 200_000;

/** What {@link scanEpisodes} reads `dataset` with unless told otherwise. */
export async function scanEngine(dataset: Pick<LeRobotDataset, "totalFrames">): Promise<ScanEngine> {
  return dataset.totalFrames >= DUCKDB_FRAMES && (await hasDuckDB()) ? "duckdb" : "hyparquet";
}

/**
 * Read numeric features of `dataset` in batches of whole episodes, file by file in the order of the episodes. Memory:
 * one batch and one block of rows (hyparquet: one row group), whatever the size of the dataset; of a view its columns.
 * Batches depend on the dataset and the options alone, not on the engine.
 * @throws InsulaError `dataset/missing-key`, `dataset/dtype` for a feature that is not numeric, `dataset/null`,
 *   `dataset/shape`, `dataset/counts`, `dataset/parquet`, `dataset/missing-file`, `dataset/no-duckdb`.
 */
export async function* scanEpisodes(
  dataset: EpisodeSource,
  names: readonly string[],
  options: ScanOptions = {},
): AsyncGenerator<EpisodeBatch, void, undefined> {
  const { features } = dataset;
  const keys = names.map((name) => resolveKey(name, Object.keys(features)));
  for (const key of keys) {
    const { dtype } = features[key]!;
    if (isNumeric(dtype)) continue;
    throw new InsulaError("dataset/dtype", `scanEpisodes: '${key}': expected numbers, found ${dtype}`);
  }
  const wanted = new Set(options.episodes ?? dataset.episodes.map((e) => e.index));
  const batches = episodeBatches(dataset, wanted, options.batchFrames ?? BATCH_FRAMES);
  if (!isStored(dataset)) {
    for (const episodes of batches) yield await fromColumns(dataset, names, keys, episodes);
    return;
  }
  const files = (await dataFiles(dataset, wanted)).filter((f) => f.episodes.some((e) => wanted.has(e.index)));
  const engine = options.engine ?? (await scanEngine(dataset));
  const reader: RowReader = engine === "duckdb" ? duckdbRows : hyparquetRows;
  const order = files.flatMap((file) => file.episodes);
  let batch: ReturnType<typeof allocateBatch> | undefined;
  let [group, inBatch, at, done] = [0, 0, 0, 0]; // batch, episode in it, episode in `order`, its rows that were read
  for await (const block of reader(files, keys)) {
    for (let row = 0; row < block.rows; ) {
      const episode = order[at]!;
      const n = Math.min(block.rows - row, episode.length - done);
      if (wanted.has(episode.index)) {
        batch ??= allocateBatch(dataset, names, keys, batches[group]!);
        const to = batch.out.rows[inBatch]! + done;
        for (const [column, array] of batch.columns.entries()) {
          const dims = array.shape.slice(1);
          const dim = sizeOf(dims);
          const problem = block.copy(column, row, n, dims, array.data, to * dim);
          if (problem) refuse(keys[column]!, dims, episode, done + problem.row - row, problem);
        }
      }
      row += n;
      done += n;
      if (done < episode.length) continue;
      [at, done] = [at + 1, 0];
      if (!wanted.has(episode.index)) continue;
      if (++inBatch < batches[group]!.length) continue;
      yield batch!.out;
      [batch, group, inBatch] = [undefined, group + 1, 0];
    }
  }
}

/** A source that lies in files as its episodes say: no view. */
type StoredSource = EpisodeSource & Pick<LeRobotDataset, "options">;

const isStored = (source: EpisodeSource): source is StoredSource =>
  "options" in source && !("base" in source);

/** A batch of a view, from its columns. */
async function fromColumns(
  source: EpisodeSource,
  names: readonly string[],
  keys: readonly string[],
  episodes: readonly Episode[],
): Promise<EpisodeBatch> {
  const { out, columns } = allocateBatch(source, names, keys, episodes);
  for (const [c, array] of columns.entries()) {
    const { data } = await source.column(keys[c]!);
    const dim = array.data.length / out.frames;
    for (const [i, { from, to }] of episodes.entries()) {
      array.data.set(data.subarray(from * dim, to * dim) as never, out.rows[i]! * dim);
    }
  }
  return out;
}

/** The data files in the order of their first episodes, with paths to open. */
async function dataFiles(
  { root, episodes, options }: StoredSource,
  wanted: ReadonlySet<number>,
): Promise<DataFile[]> {
  const folder = await datasetRoot(root, options);
  return Promise.all(
    [...episodesByFile(episodes)].map(async ([path, inFile]) => ({
      path: await folder.file(path),
      rows: inFile.reduce((sum, e) => sum + e.length, 0),
      episodes: inFile,
      wants: (begin, end) =>
        inFile.some((e) => wanted.has(e.index) && e.data.row < end && e.data.row + e.length > begin),
    })),
  );
}

function refuse(
  key: string,
  dims: readonly number[],
  episode: Episode,
  frame: number,
  { kind, found }: RowProblem,
): never {
  const where = `in episode ${episode.index}, frame ${frame}`;
  if (kind === "null") throw new InsulaError("dataset/null", `${key}: null ${where}`);
  if (kind === "type") {
    throw new InsulaError("dataset/dtype", `${key}: expected numbers, found ${found} ${where}`);
  }
  throw new InsulaError(
    "dataset/shape",
    `${key}: expected [*, ${dims.join(", ")}], found [*, ${found}] ${where}`,
  );
}
