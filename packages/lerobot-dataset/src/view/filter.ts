/**
 * @file A view of a dataset that visits some of its frames: by episode, task, success, pauses, or any test of its
 * numbers. Chunks still follow the whole episode: a frame before a dropped one sees the actions that were taken.
 */
import { InsulaError } from "@insula/model-types";
import type { EpisodeSource } from "./episode-source.js";
import { episodeTests } from "./filter-tests.js";
import {
  type EpisodeRange,
  FILTER_REASONS,
  type FilteredFrames,
  type FilterReason,
  type FilterReport,
  type FrameFilter,
  filterSummary,
} from "./frame-filter.js";
import { rangesOf } from "./ranges.js";

/**
 * Keep some frames of `dataset`. Reads the numeric columns that the filter asks for, no image.
 * @throws InsulaError `filter/episodes`, `filter/tasks` (nothing matches, with the closest task), `filter/success`,
 *   `filter/idle` for a column that does not fit, `filter/empty` when no frame is left, with the report.
 */
export async function filterFrames(dataset: EpisodeSource, filter: FrameFilter): Promise<FilteredFrames> {
  const tests = await episodeTests(dataset, filter);
  const dropped = Object.fromEntries(FILTER_REASONS.map((r) => [r, 0])) as Record<FilterReason, number>;
  const ranges: EpisodeRange[] = [];
  const starts: number[] = [0];
  let keptEpisodes = 0;
  for (const episode of dataset.episodes) {
    const keep = new Uint8Array(episode.length).fill(1);
    for (const [reason, test] of tests) {
      const pass = test(episode);
      if (pass === true) continue;
      for (let i = 0; i < keep.length; i++) {
        if (!keep[i] || (pass && pass[i] === 1)) continue;
        keep[i] = 0;
        dropped[reason]++;
      }
    }
    const kept = rangesOf(keep);
    if (kept.length > 0) keptEpisodes++;
    for (const [from, to] of kept) {
      ranges.push({ episode: episode.index, from, to });
      starts.push(starts.at(-1)! + to - from);
    }
  }
  const kept = starts.at(-1)!;
  const report: FilterReport = {
    frames: dataset.totalFrames,
    kept,
    dropped,
    episodes: { total: dataset.episodes.length, kept: keptEpisodes },
  };
  if (kept === 0) {
    throw new InsulaError(
      "filter/empty",
      `${dataset.root}: the filter leaves no frame (${filterSummary(report)})`,
    );
  }
  const from = new Map(dataset.episodes.map((e) => [e.index, e.from]));
  const baseIndex = (index: number): number => {
    if (!(Number.isSafeInteger(index) && index >= 0 && index < kept)) {
      throw new InsulaError("dataset/index", `${dataset.root}: frame ${index} is outside [0, ${kept})`);
    }
    const r = lastAtMost(starts, index);
    const range = ranges[r]!;
    return from.get(range.episode)! + range.from + index - starts[r]!;
  };
  return {
    dataset,
    ranges,
    report,
    totalFrames: kept,
    sample: async (index, options) => ({ ...(await dataset.sample(baseIndex(index), options)), index }),
    locate: (index) => dataset.locate(baseIndex(index)),
  };
}

/** The last of ascending `starts` that is at most `value`. */
function lastAtMost(starts: readonly number[], value: number): number {
  let [low, high] = [0, starts.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle]! <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
