/**
 * @file A dataset's statistics in parts that do not depend on who counts them: runs of episodes of a fixed size, joined
 * in their order. One process or several workers, DuckDB or hyparquet: the same bits.
 */
import {
  type Episode,
  episodeBatches,
  type LeRobotDataset,
  type ScanEngine,
  scanEpisodes,
} from "@insula/lerobot-dataset";
import {
  addFrames,
  type CountOptions,
  emptyFrameStats,
  type FrameColumns,
  type FrameStats,
} from "./frame-stats.js";

/** Frames of a batch. */
const BATCH_FRAMES = 16_384;
/** Batches of a part: some 130 000 frames. */
const PART_BATCHES = 8;

/** The episodes of each part, in order. */
export function partsOf(
  dataset: LeRobotDataset,
  episodes: ReadonlySet<number>,
  batchFrames: number = BATCH_FRAMES,
): Episode[][] {
  const batches = episodeBatches(dataset, episodes, batchFrames);
  const parts: Episode[][] = [];
  for (let i = 0; i < batches.length; i += PART_BATCHES) {
    parts.push(batches.slice(i, i + PART_BATCHES).flat());
  }
  return parts;
}

/** The statistics of each of `parts`, some neighbours of {@link partsOf}, in one pass over their files. */
export async function* countParts(
  dataset: LeRobotDataset,
  parts: readonly (readonly Pick<Episode, "index">[])[],
  columns: FrameColumns,
  options: CountOptions & { engine: ScanEngine; batchFrames?: number },
): AsyncGenerator<FrameStats, void, undefined> {
  let stats = emptyFrameStats();
  let [part, counted] = [0, 0];
  const names = [...new Set([columns.actions, ...columns.state])];
  const episodes = parts.flat().map((e) => e.index);
  const { engine, batchFrames = BATCH_FRAMES } = options;
  for await (const batch of scanEpisodes(dataset, names, { episodes, batchFrames, engine })) {
    addFrames(stats, batch, columns, options);
    counted += batch.episodes.length;
    if (counted < parts[part]!.length) continue;
    yield stats;
    stats = emptyFrameStats();
    [part, counted] = [part + 1, 0];
  }
}
