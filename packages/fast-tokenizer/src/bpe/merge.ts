/**
 * @file Byte-pair encoding of one word by its definition: merge the adjacent pair of lowest rank, leftmost first, until
 * none merges. A queue of (rank, place) over a linked list, O(n log n), for any table of merges; the hot path is
 * `./search.ts`.
 */
import { makeMinHeap } from "./min-heap.js";
import { type BpeTables, NO_MERGE, pairRank } from "./tables.js";

/** Merges `ids[start…end)` in place and returns the new end. */
export type Merger = (ids: Int32Array, start: number, end: number) => number;

export function makeMerger(tables: BpeTables): Merger {
  const heap = makeMinHeap();
  let previous = new Int32Array(0);
  let next = new Int32Array(0);
  /** Rank of the pair (place, next): a queue entry whose place says otherwise is stale. */
  let ranks = new Int32Array(0);
  // A key orders by rank, then by place; both are exact in a double.
  const span = 0x80000000;

  return (ids, start, end) => {
    const length = end - start;
    if (length < 2) return end;
    if (next.length < length) {
      previous = new Int32Array(2 * length);
      next = new Int32Array(2 * length);
      ranks = new Int32Array(2 * length);
    }
    const offer = (place: number): void => {
      const after = next[place]!;
      const rank = after < 0 ? NO_MERGE : pairRank(tables, ids[start + place]!, ids[start + after]!);
      ranks[place] = rank;
      if (rank !== NO_MERGE) heap.push(rank * span + place);
    };
    heap.clear();
    for (let i = 0; i < length; i++) {
      previous[i] = i - 1;
      next[i] = i + 1 < length ? i + 1 : -1;
      offer(i);
    }
    while (heap.size > 0) {
      const key = heap.pop();
      const place = key % span;
      const rank = (key - place) / span;
      if (ranks[place] !== rank) continue;
      const gone = next[place]!;
      ids[start + place] = tables.mergedIds[rank]!;
      ranks[gone] = NO_MERGE;
      next[place] = next[gone]!;
      if (next[place]! >= 0) previous[next[place]!] = place;
      offer(place);
      if (previous[place]! >= 0) offer(previous[place]!);
    }
    let write = start;
    for (let i = 0; i >= 0; i = next[i]!) ids[write++] = ids[start + i]!;
    return write;
  };
}
