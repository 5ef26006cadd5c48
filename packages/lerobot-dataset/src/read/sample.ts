/**
 * @file Assembling one sample: the numbers of a frame, the action chunk that begins there, its cameras.
 * Semantics of LeRobot's `__getitem__` with `delta_timestamps = [t / fps for t in range(horizon)]`: steps
 * beyond the end of the episode repeat its last row and are marked in `<key>_is_pad`.
 */
import { closestMatch, InsulaError, type NdArray, sizeOf, type TypedArray } from "@insula/model-types";
import type { Episode } from "./episodes.js";

/** What a sample holds besides the numbers of its frame: action chunks and cameras. */
export interface SampleOptions {
  /** Steps per action chunk. Without it, action features are like any other: one row. */
  actionHorizon?: number;
  /** Features to chunk. `actions` is also found as `action` and the reverse. Default: `["actions"]`. */
  actionKeys?: readonly string[];
  /** Cameras to decode. Default: those the dataset was opened with. */
  cameras?: readonly string[];
}

/** Row `frame` of a column. */
export function rowOf({ data, shape }: NdArray, frame: number): NdArray {
  const dims = shape.slice(1);
  const dim = sizeOf(dims);
  return { data: slice(data, frame * dim, (frame + 1) * dim), shape: dims };
}

/** Rows `frame … frame + horizon - 1`, clamped to the episode, and which of them are padding. */
export function chunkOf(
  { data, shape }: NdArray,
  frame: number,
  horizon: number,
  episode: Pick<Episode, "to">,
): { chunk: NdArray; isPad: NdArray<Uint8Array> } {
  const dims = shape.slice(1);
  const dim = sizeOf(dims);
  const real = Math.min(horizon, episode.to - frame);
  const chunk = new (data.constructor as new (length: number) => TypedArray)(horizon * dim);
  chunk.set(slice(data, frame * dim, (frame + real) * dim) as never);
  const last = slice(data, (episode.to - 1) * dim, episode.to * dim);
  for (let t = real; t < horizon; t++) chunk.set(last as never, t * dim);
  return {
    chunk: { data: chunk, shape: [horizon, ...dims] },
    isPad: { data: new Uint8Array(horizon).fill(1, real), shape: [horizon] },
  };
}

function slice(data: TypedArray, begin: number, end: number): TypedArray {
  return data.slice(begin, end) as TypedArray;
}

/**
 * The feature that `key` means: itself, or the other spelling of the action key.
 * @throws InsulaError `dataset/missing-key` listing the features there are.
 */
export function resolveKey(key: string, features: Iterable<string>, what: string = "feature"): string {
  const names = [...features];
  const other = key === "actions" ? "action" : key === "action" ? "actions" : undefined;
  if (names.includes(key)) return key;
  if (other && names.includes(other)) return other;
  const closest = closestMatch(key, names);
  throw new InsulaError(
    "dataset/missing-key",
    `${what} '${key}' is not in this dataset${closest ? `; did you mean '${closest}'?` : ""} (available: ${names.join(", ")})`,
  );
}

/** The episode that holds frame `frame`: binary search. */
export function episodeOf(episodes: readonly Episode[], frame: number): Episode {
  let low = 0;
  let high = episodes.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (episodes[middle]!.from <= frame) low = middle;
    else high = middle - 1;
  }
  return episodes[low]!;
}
