/**
 * @file Byte-pair encoding of one word without merging. Byte-pair encoding has a local test: a sequence of tokens is
 * the encoding of its bytes exactly when each token encodes itself and each adjacent pair encodes to that pair. So the
 * encoding can be found from left to right: take the longest token that fits behind the last one, and step back when
 * none does (van Antwerpen and Neubeck, "So many tokens, so little time", GitHub 2024, and their crate `bpe`). There is
 * only one encoding of each prefix, so a place that was left once need not be tried again: linear time.
 */
import { type BpeTables, NO_MERGE, pairRank } from "./tables.js";
import { longestToken, makeTrieBuilder, type TokenTrie } from "./trie.js";

/** Writes the ids of `bytes[start…end)` to `ids[at…]` and returns their end; −1 when it finds none. */
export type Searcher = (bytes: Uint8Array, start: number, end: number, ids: Int32Array, at: number) => number;

/**
 * A searcher, or undefined when the merges are not such as training yields: every token made in one way, after its
 * parts.
 */
export function makeSearcher(tables: BpeTables): Searcher | undefined {
  if (!tables.ordered) return undefined;
  const parts = splitTokens(tables);
  if (!parts) return undefined;
  const trie = selfEncodingTokens(tables, parts);
  const { offsets } = tables;
  /** Places that no encoding goes through. */
  let dead = new Uint8Array(0);

  return (bytes, start, end, ids, at) => {
    const length = end - start;
    if (dead.length <= length) dead = new Uint8Array(2 * length + 1);
    else dead.fill(0, 0, length + 1);
    let place = start;
    let write = at;
    let token = longestToken(trie, bytes, place, end);
    while (place < end) {
      const behind = token < 0 ? place : place + offsets[token + 1]! - offsets[token]!;
      if (token < 0) {
        // Nothing fits behind the last token: it was not the right one.
        if (write === at) return -1;
        dead[place - start] = 1;
        token = ids[--write]!;
        place -= offsets[token + 1]! - offsets[token]!;
        token = trie.prefixes[token]!;
      } else if (
        dead[behind - start] === 0 &&
        (write === at || isPair(tables, parts, ids[write - 1]!, token, NO_MERGE))
      ) {
        ids[write++] = token;
        place = behind;
        token = longestToken(trie, bytes, place, end);
      } else {
        token = trie.prefixes[token]!;
      }
    }
    return write;
  };
}

/** How each token is made: its parts, and the rank of the merge; −1 for bytes. */
interface TokenParts {
  left: Int32Array;
  right: Int32Array;
  rank: Int32Array;
}

/** Undefined when a token is made in two ways. */
function splitTokens({ vocabSize, lefts, rights, mergedIds, byteIds }: BpeTables): TokenParts | undefined {
  const left = new Int32Array(vocabSize).fill(-1);
  const right = new Int32Array(vocabSize).fill(-1);
  const rank = new Int32Array(vocabSize).fill(-1);
  const bytes = new Set(byteIds);
  for (let r = 0; r < mergedIds.length; r++) {
    const id = mergedIds[r]!;
    if (rank[id] !== -1 || bytes.has(id)) return undefined;
    left[id] = lefts[r]!;
    right[id] = rights[r]!;
    rank[id] = r;
  }
  return { left, right, rank };
}

/**
 * Whether `first` and `second`, side by side, stay as they are: undo their merges, latest first, and look at each step
 * whether the two tokens at the border would have merged before.
 * @param limit merges across the border count below this rank only.
 */
function isPair(tables: BpeTables, parts: TokenParts, first: number, second: number, limit: number): boolean {
  const { left, right, rank } = parts;
  let a = first;
  let b = second;
  let below = limit;
  for (;;) {
    if (pairRank(tables, a, b) < below) return false;
    const rankA = rank[a]!;
    const rankB = rank[b]!;
    if (rankA > rankB) {
      below = rankA;
      a = right[a]!;
    } else if (rankB >= 0) {
      below = rankB + 1; // of equal ranks the border's pair lies further left
      b = left[b]!;
    } else {
      return true;
    }
  }
}

/**
 * The tokens that can occur: bytes, and merges whose parts can occur and do not merge otherwise before. (`abc` made of
 * `ab` and `c` never occurs when `bc` merges before `ab`.)
 */
function selfEncodingTokens(tables: BpeTables, parts: TokenParts): TokenTrie {
  const { byteIds, bytes, offsets, mergedIds } = tables;
  const builder = makeTrieBuilder();
  /** Token → its node, −1 when it cannot occur. */
  const nodes = new Int32Array(tables.vocabSize).fill(-1);
  for (const id of byteIds) {
    if (id >= 0) nodes[id] = builder.add(0, bytes.subarray(offsets[id]!, offsets[id + 1]!), id);
  }
  for (let r = 0; r < mergedIds.length; r++) {
    const id = mergedIds[r]!;
    const left = parts.left[id]!;
    const right = parts.right[id]!;
    if (nodes[left]! < 0 || nodes[right]! < 0 || !isPair(tables, parts, left, right, r)) continue;
    nodes[id] = builder.add(nodes[left]!, bytes.subarray(offsets[right]!, offsets[right + 1]!), id);
  }
  return builder.build(tables.vocabSize);
}
