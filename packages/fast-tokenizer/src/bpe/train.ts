/**
 * @file Training of byte-pair encoding, merge for merge as HF `tokenizers` (`BpeTrainer::do_train`, 0.21): repeatedly the
 * most frequent adjacent pair, ties by smallest ids. Its counting rules are kept to the letter, including that an
 * occurrence `aaa` counts twice and that a pair's own count is not lowered when it merges. What differs is the work:
 * words are linked lists and a pair knows its occurrences, so a merge touches what it changes and nothing else. That is
 * enough because a token is only ever made of the same two parts (those that its own text is encoded to before the last
 * merge): all occurrences of a pair appear in one round, that of its younger part, and it is queued once.
 */
import { makeCandidateQueue } from "./candidates.js";
import { makePairCounts } from "./pair-counts.js";
import { grown, type Words } from "./words.js";

/** Numbers per position of the words: its id, then these. */
const WIDTH = 4;
const NEXT = 1;
const PREVIOUS = 2;
const COUNT = 3;

export interface BpeTrainerOptions {
  vocabSize: number;
  /** Pairs seen less often do not merge. */
  minFrequency: number;
  /** Characters (visible bytes) of the longest token. */
  maxTokenLength: number;
  /** Called now and then with the size of the vocabulary so far. */
  onProgress?: (vocabSize: number) => void;
}

export interface TrainedBpe {
  /** In order of id. */
  tokens: string[];
  merges: [string, string][];
}

/**
 * Train.
 * @param alphabet characters in the order of their ids, all different.
 * @param words in ids of the alphabet.
 */
export function trainBpe(
  alphabet: readonly string[],
  words: Words<Int32Array>,
  options: BpeTrainerOptions,
): TrainedBpe {
  const { vocabSize, minFrequency, maxTokenLength } = options;
  const tokens = [...alphabet];
  const stride = Math.max(vocabSize, tokens.length);
  /** Characters of each token; visible bytes are one UTF-16 unit each. */
  const lengths = tokens.map((token) => token.length);
  const chain = linkWords(words);
  const pairs = makePairCounts(2 * words.values.length);
  const queue = makeCandidateQueue();

  const enqueue = (): void => {
    for (let t = 0; t < pairs.touchedSize; t++) {
      const pair = pairs.touched[t]!;
      const count = pairs.counts[pair]!;
      const key = pairs.lefts[pair]! * stride + pairs.rights[pair]!;
      if (count > 0) queue.add(pair, key, count, pairs.heads[pair]!);
      pairs.heads[pair] = -1;
    }
    pairs.touchedSize = 0;
  };
  for (let i = 0; i < chain.length; i += WIDTH) {
    const next = chain[i + NEXT]!;
    if (next < 0) continue;
    const pair = pairs.indexOf(chain[i]!, chain[next]!);
    pairs.counts[pair]! += chain[i + COUNT]!;
    pairs.note(pair, i);
  }
  enqueue();

  // What a merge does to a neighbour depends on the neighbour alone: per id the round in which it was looked up, the
  // pair that it loses, and the one that it gains (−1 when that would be too long).
  let befores = new Int32Array(WIDTH * (tokens.length + 1));
  let afters = new Int32Array(WIDTH * (tokens.length + 1));
  let round = 0;

  /** Merge position `i` and its next, `left` and `right`, into `id`. */
  const mergeAt = (i: number, left: number, right: number, id: number): void => {
    const count = chain[i + COUNT]!;
    const before = chain[i + PREVIOUS]!;
    if (before >= 0) {
      const neighbour = chain[before]!;
      const at = WIDTH * neighbour;
      if (befores[at] !== round) {
        befores[at] = round;
        befores[at + 1] = pairs.indexOf(neighbour, left);
        befores[at + 2] =
          lengths[neighbour]! + lengths[id]! < maxTokenLength ? pairs.indexOf(neighbour, id) : -1;
      }
      pairs.counts[befores[at + 1]!]! -= count;
      const gained = befores[at + 2]!;
      if (gained >= 0) {
        pairs.counts[gained]! += count;
        pairs.note(gained, before);
      }
    }
    const merged = chain[i + NEXT]!;
    const after = chain[merged + NEXT]!;
    chain[i] = id;
    chain[merged] = -1;
    chain[i + NEXT] = after;
    if (after < 0) return;
    chain[after + PREVIOUS] = i;
    const neighbour = chain[after]!;
    const at = WIDTH * neighbour;
    if (afters[at] !== round) {
      afters[at] = round;
      afters[at + 1] = pairs.indexOf(right, neighbour);
      afters[at + 2] =
        lengths[neighbour]! + lengths[id]! < maxTokenLength ? pairs.indexOf(id, neighbour) : -1;
    }
    pairs.counts[afters[at + 1]!]! -= count;
    const gained = afters[at + 2]!;
    if (gained >= 0) {
      pairs.counts[gained]! += count;
      pairs.note(gained, i);
    }
  };

  const merges: [string, string][] = [];
  while (tokens.length < vocabSize && queue.size > 0) {
    const top = queue.pop();
    const pair = queue.pairs[top]!;
    const current = pairs.counts[pair]!;
    if (queue.counts[top] !== current) {
      queue.requeue(top, current);
      continue;
    }
    if (current < 1 || current < minFrequency) break;

    const left = pairs.lefts[pair]!;
    const right = pairs.rights[pair]!;
    const id = tokens.length;
    const token = tokens[left]! + tokens[right]!;
    tokens.push(token);
    lengths.push(token.length);
    merges.push([tokens[left]!, tokens[right]!]);

    round++;
    if (befores.length < WIDTH * tokens.length) {
      befores = grown(befores, 2 * befores.length);
      afters = grown(afters, 2 * afters.length);
    }
    for (let n = queue.heads[top]!; n >= 0; n = pairs.occurrences[n + 1]!) {
      const i = pairs.occurrences[n]!;
      const next = chain[i + NEXT]!;
      // An occurrence is gone when another merge, or this one just before it, took one of its ids.
      if (chain[i] === left && next >= 0 && chain[next] === right) mergeAt(i, left, right, id);
    }
    enqueue();
    if (tokens.length % 64 === 0) options.onProgress?.(tokens.length);
  }
  return { tokens, merges };
}

/**
 * Words as linked lists, {@link WIDTH} numbers per position: id (−1 once merged away), next and previous position of the
 * word (−1 beyond its ends), and the count of the word.
 */
function linkWords({ values, starts, counts }: Words<Int32Array>): Int32Array {
  const chain = new Int32Array(WIDTH * values.length);
  for (let word = 0; word + 1 < starts.length; word++) {
    const first = starts[word]!;
    const end = starts[word + 1]!;
    for (let i = first; i < end; i++) {
      const at = WIDTH * i;
      chain[at] = values[i]!;
      chain[at + NEXT] = i + 1 < end ? at + WIDTH : -1;
      chain[at + PREVIOUS] = i > first ? at - WIDTH : -1;
      chain[at + COUNT] = counts[word]!;
    }
  }
  return chain;
}
