/** @file Runs of frames within episodes, and openpi's file of those to keep. */
import { InsulaError } from "@insula/model-types";
import type { Episode } from "../read/episodes.js";

/** Frames `[from, to)` of one episode, counted from its start. */
export type FrameRange = readonly [from: number, to: number];

/** The runs of true values: ascending, apart. */
export function rangesOf(keep: ArrayLike<unknown>): FrameRange[] {
  const ranges: FrameRange[] = [];
  for (let i = 0; i < keep.length; i++) {
    if (!keep[i]) continue;
    const from = i;
    while (i < keep.length && keep[i]) i++;
    ranges.push([from, i]);
  }
  return ranges;
}

/**
 * Read openpi's filter file: `{"<recording folder>--<file path>": [[start, end], …]}`, ends exclusive
 * (`compute_droid_nonidle_ranges.py`). `keyOf` says which key means an episode; without it a key is an
 * `episode_index`. As in openpi, an episode that the file does not name keeps nothing.
 * @throws InsulaError `filter/json`, `filter/range` naming file, key and range; `filter/key` for a key that no episode
 *   has when there is no `keyOf` (with one, files may name more recordings than the dataset holds).
 */
export function parseFilterRanges(
  text: string,
  episodes: readonly Episode[],
  options: { file?: string; keyOf?: (episode: Episode) => string } = {},
): Map<number, FrameRange[]> {
  const { file = "filter", keyOf } = options;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new InsulaError("filter/json", `${file}: not JSON (${(cause as Error).message})`, { cause });
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new InsulaError("filter/json", `${file}: expected {"<episode>": [[start, end], …]}`);
  }
  const byKey = new Map(episodes.map((e) => [keyOf ? keyOf(e) : String(e.index), e]));
  const found = new Map<number, FrameRange[]>();
  for (const [key, ranges] of Object.entries(json)) {
    const episode = byKey.get(key);
    if (!episode && keyOf) continue;
    if (!episode) {
      throw new InsulaError(
        "filter/key",
        `${file}: '${key}' is not the episode_index of one of the ${episodes.length} episodes; files with recordings as keys need keyOf`,
      );
    }
    found.set(episode.index, checkRanges(ranges, episode, `${file}: ${key}`));
  }
  return found;
}

/** Ranges as given, clamped to the episode, sorted, joined where they overlap. */
function checkRanges(ranges: unknown, { length }: Episode, where: string): FrameRange[] {
  if (!Array.isArray(ranges)) throw new InsulaError("filter/range", `${where}: expected a list of ranges`);
  const keep = new Uint8Array(length);
  for (const range of ranges as unknown[]) {
    const [from, to] = Array.isArray(range) && range.length === 2 ? (range as [unknown, unknown]) : [];
    const sound = Number.isSafeInteger(from) && Number.isSafeInteger(to) && (from as number) >= 0;
    if (!sound || (from as number) > (to as number)) {
      throw new InsulaError(
        "filter/range",
        `${where}: expected [start, end] with 0 <= start <= end, found ${JSON.stringify(range)}`,
      );
    }
    keep.fill(1, from as number, Math.min(to as number, length));
  }
  return rangesOf(keep);
}
