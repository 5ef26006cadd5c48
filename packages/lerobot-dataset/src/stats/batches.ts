/** @file Batches of whole episodes: which episodes belong together, and the arrays that hold their rows. */
import { type NdArray, sizeOf } from "@insula/model-types";
import type { NumericDtype } from "../features.js";
import { storageOf } from "../read/cells.js";
import type { Episode } from "../read/episodes.js";
import type { EpisodeSource } from "../view/episode-source.js";

/** Whole episodes, one after the other. The arrays are the consumer's. */
export interface EpisodeBatch {
  readonly episodes: readonly Episode[];
  /** First row of each episode in {@link EpisodeBatch.columns}. */
  readonly rows: readonly number[];
  readonly frames: number;
  /** Feature → `[frames, ...shape]`, in the feature's dtype. */
  readonly columns: Readonly<Record<string, NdArray>>;
}

/**
 * The episodes of each batch of `scanEpisodes`, with these options and any engine. A scan of some neighbouring
 * batches' episodes gives these batches again.
 */
export function episodeBatches(
  { episodes }: Pick<EpisodeSource, "episodes">,
  wanted: ReadonlySet<number>,
  batchFrames: number,
): Episode[][] {
  const inFiles = [...episodesByFile(episodes).values()].flat();
  return batchesOf(
    inFiles.filter((e) => wanted.has(e.index)),
    batchFrames,
  );
}

/** Episodes by data file, in the order of the files' first episodes. */
export function episodesByFile(episodes: readonly Episode[]): Map<string, Episode[]> {
  const files = new Map<string, Episode[]>();
  for (const episode of episodes) {
    const inFile = files.get(episode.data.path);
    if (inFile) inFile.push(episode);
    else files.set(episode.data.path, [episode]);
  }
  return files;
}

/** Runs of episodes, each ending with the one that reaches `frames`. */
function batchesOf(episodes: readonly Episode[], frames: number): Episode[][] {
  const batches: Episode[][] = [];
  let full = true;
  let count = 0;
  for (const episode of episodes) {
    if (full) batches.push([]);
    if (full) count = 0;
    batches.at(-1)!.push(episode);
    count += episode.length;
    full = count >= frames;
  }
  return batches;
}

/** A batch to fill, and its arrays in the order of `names`. */
export function allocateBatch(
  { features }: Pick<EpisodeSource, "features">,
  names: readonly string[],
  keys: readonly string[],
  episodes: readonly Episode[],
): { out: EpisodeBatch; columns: NdArray[] } {
  const rows: number[] = [];
  let frames = 0;
  for (const { length } of episodes) {
    rows.push(frames);
    frames += length;
  }
  const columns = keys.map((key): NdArray => {
    const { dtype, shape } = features[key]!;
    return { data: storageOf(dtype as NumericDtype, frames * sizeOf(shape)), shape: [frames, ...shape] };
  });
  const byName = Object.fromEntries(names.map((name, i) => [name, columns[i]!]));
  return { out: { episodes, rows, frames, columns: byName }, columns };
}
