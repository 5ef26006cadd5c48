/** @file The queue of training: pairs with their occurrences, most frequent first, ties by smallest ids. */
import { grown } from "./words.js";

export interface CandidateQueue {
  readonly size: number;
  /** Candidate → its pair. */
  pairs: Int32Array;
  /** Candidate → its first occurrence. */
  heads: Int32Array;
  /** Candidate → the count that it is queued by. */
  counts: Float64Array;
  /**
   * Queue a pair.
   * @param key orders pairs of equal count.
   */
  add(pair: number, key: number, count: number, head: number): void;
  /** The first candidate; it leaves the queue. */
  pop(): number;
  /** Queue a candidate again, by another count. */
  requeue(candidate: number, count: number): void;
}

/** An empty queue: a binary heap. */
export function makeCandidateQueue(): CandidateQueue {
  let keys = new Float64Array(1 << 12);
  let heap = new Int32Array(1 << 12);
  let size = 0;
  let known = 0;
  const queue = {
    pairs: new Int32Array(1 << 12),
    heads: new Int32Array(1 << 12),
    counts: new Float64Array(1 << 12),
    get size(): number {
      return size;
    },
    add,
    pop,
    requeue,
  };

  /** Whether candidate `a` comes before `b`. */
  function before(a: number, b: number): boolean {
    const difference = queue.counts[a]! - queue.counts[b]!;
    return difference !== 0 ? difference > 0 : keys[a]! < keys[b]!;
  }

  function add(pair: number, key: number, count: number, head: number): void {
    if (known === heap.length) {
      keys = grown(keys, 2 * known);
      heap = grown(heap, 2 * known);
      queue.pairs = grown(queue.pairs, 2 * known);
      queue.heads = grown(queue.heads, 2 * known);
      queue.counts = grown(queue.counts, 2 * known);
    }
    queue.pairs[known] = pair;
    queue.heads[known] = head;
    keys[known] = key;
    requeue(known++, count);
  }

  function requeue(candidate: number, count: number): void {
    queue.counts[candidate] = count;
    let i = size++;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(candidate, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = candidate;
  }

  function pop(): number {
    const top = heap[0]!;
    const last = heap[--size]!;
    if (size === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= size) break;
      if (child + 1 < size && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
    return top;
  }

  return queue;
}
