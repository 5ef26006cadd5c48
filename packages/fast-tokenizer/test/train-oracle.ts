/**
 * Training of byte-pair encoding word by word, as HF `tokenizers` (`BpeTrainer::do_train`, 0.21) writes it down: maps,
 * and every word of a pair read from its beginning. What `src/bpe/train.ts` has to reproduce.
 */
import type { BpeTrainerOptions, TrainedBpe } from "../src/bpe/train.js";

/** A word as ids of the alphabet, and how often it occurs. */
export interface TrainingWord {
  ids: Int32Array;
  count: number;
}

interface Candidate {
  count: number;
  /** `left · stride + right`: numeric order is the order of pairs. */
  pair: number;
  /** Words where it may occur. */
  words: number[];
}

/** Whether `a` merges before `b`. */
function before(a: Candidate, b: Candidate): boolean {
  return a.count !== b.count ? a.count > b.count : a.pair < b.pair;
}

/**
 * Train.
 * @param alphabet characters in the order of their ids.
 * @param words their ids are overwritten.
 */
export function trainBpeByWords(
  alphabet: readonly string[],
  words: readonly TrainingWord[],
  options: BpeTrainerOptions,
): TrainedBpe {
  const { vocabSize, minFrequency, maxTokenLength } = options;
  const tokens = [...alphabet];
  const idOf = new Map(tokens.map((token, id) => [token, id]));
  const stride = Math.max(vocabSize, tokens.length);
  /** Characters of each token; visible bytes are one UTF-16 unit each. */
  const lengths = tokens.map((token) => token.length);
  const wordLengths = words.map((word) => word.ids.length);

  const counts = new Map<number, number>();
  let places = new Map<number, number[]>();
  const place = (pair: number, word: number): void => {
    const list = places.get(pair);
    if (!list) places.set(pair, [word]);
    else if (list[list.length - 1] !== word) list.push(word);
  };
  for (const [w, { ids, count }] of words.entries()) {
    for (let i = 0; i + 1 < ids.length; i++) {
      const pair = ids[i]! * stride + ids[i + 1]!;
      counts.set(pair, (counts.get(pair) ?? 0) + count);
      place(pair, w);
    }
  }

  const queue: Candidate[] = [];
  const enqueue = (): void => {
    for (const [pair, at] of places) {
      const count = counts.get(pair)!;
      if (count > 0) push(queue, { pair, count, words: at });
    }
    places = new Map();
  };
  enqueue();

  /** Rank order; of a repeated pair the last position counts. */
  const merges = new Map<number, [string, string]>();
  while (tokens.length < vocabSize && queue.length > 0) {
    const top = pop(queue);
    const current = counts.get(top.pair)!;
    if (top.count !== current) {
      top.count = current;
      push(queue, top);
      continue;
    }
    if (current < 1 || current < minFrequency) break;

    const left = Math.floor(top.pair / stride);
    const right = top.pair % stride;
    const token = tokens[left]! + tokens[right]!;
    let id = idOf.get(token);
    if (id === undefined) {
      id = tokens.length;
      idOf.set(token, id);
      tokens.push(token);
      lengths.push(token.length);
    }
    merges.delete(top.pair);
    merges.set(top.pair, [tokens[left]!, tokens[right]!]);

    const bump = (pair: number, change: number, w: number): void => {
      counts.set(pair, (counts.get(pair) ?? 0) + change * words[w]!.count);
      if (change > 0) place(pair, w);
    };
    const grown = lengths[id]!;
    for (const w of top.words) {
      const { ids } = words[w]!;
      const length = wordLengths[w]!;
      let write = 0;
      for (let read = 0; read < length; ) {
        if (ids[read] !== left || read + 1 >= length || ids[read + 1] !== right) {
          ids[write++] = ids[read++]!;
          continue;
        }
        if (write > 0) {
          const neighbour = ids[write - 1]!;
          bump(neighbour * stride + left, -1, w);
          if (lengths[neighbour]! + grown < maxTokenLength) bump(neighbour * stride + id, 1, w);
        }
        ids[write++] = id;
        read += 2;
        if (read < length) {
          const neighbour = ids[read]!;
          bump(right * stride + neighbour, -1, w);
          if (lengths[neighbour]! + grown < maxTokenLength) bump(id * stride + neighbour, 1, w);
        }
      }
      wordLengths[w] = write;
    }
    enqueue();
    if (tokens.length % 64 === 0) options.onProgress?.(tokens.length);
  }
  return { tokens, merges: [...merges.values()] };
}

function push(queue: Candidate[], candidate: Candidate): void {
  let i = queue.length;
  queue.push(candidate);
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (!before(candidate, queue[parent]!)) break;
    queue[i] = queue[parent]!;
    i = parent;
  }
  queue[i] = candidate;
}

function pop(queue: Candidate[]): Candidate {
  const top = queue[0]!;
  const last = queue.pop()!;
  if (queue.length === 0) return top;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= queue.length) break;
    if (child + 1 < queue.length && before(queue[child + 1]!, queue[child]!)) child++;
    if (!before(queue[child]!, last)) break;
    queue[i] = queue[child]!;
    i = child;
  }
  queue[i] = last;
  return top;
}
