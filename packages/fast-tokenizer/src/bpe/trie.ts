/**
 * @file Finding the longest token at a place of a byte string. Most nodes have one child: they are numbered so that it
 * is the next node, and only the few that branch have a table.
 */

export interface TokenTrie {
  /** Node → token that ends there, −1 for none. */
  readonly tokens: Int32Array;
  /** Node → byte of its only child (node + 1), {@link LEAF}, or `BRANCH - r` for row r of `rows`. */
  readonly only: Int32Array;
  /** Branching nodes' children by byte, 256 each, 0 for none. */
  readonly rows: Int32Array;
  /** Token → longest token that is a proper prefix of it, −1 for none. */
  readonly prefixes: Int32Array;
}

export const LEAF = -1;
export const BRANCH = -2;

/** Collects tokens; `add` returns the node where one ends, from which longer ones can be added. */
export interface TrieBuilder {
  add(from: number, bytes: Uint8Array, token: number): number;
  build(vocabSize: number): TokenTrie;
}

export function makeTrieBuilder(): TrieBuilder {
  /** Node → children by byte; node 0 is the root. */
  const children: Map<number, number>[] = [new Map()];
  const tokenAt: number[] = [-1];

  return {
    add(from, bytes, token): number {
      let node = from;
      for (const byte of bytes) {
        let child = children[node]!.get(byte);
        if (child === undefined) {
          child = children.length;
          children.push(new Map());
          tokenAt.push(-1);
          children[node]!.set(byte, child);
        }
        node = child;
      }
      tokenAt[node] = token;
      return node;
    },
    build(vocabSize): TokenTrie {
      const size = children.length;
      const tokens = new Int32Array(size).fill(-1);
      const only = new Int32Array(size).fill(LEAF);
      const rows: number[] = [];
      const prefixes = new Int32Array(vocabSize).fill(-1);
      let numbered = 0;
      // Depth first, so that a first child is the node's successor.
      const stack: { node: number; token: number; parent: number; byte: number }[] = [
        { node: 0, token: -1, parent: -1, byte: 0 },
      ];
      while (stack.length > 0) {
        const { node, token: inherited, parent, byte } = stack.pop()!;
        const id = numbered++;
        const token = tokenAt[node]!;
        tokens[id] = token;
        if (token >= 0) prefixes[token] = inherited;
        if (parent >= 0 && only[parent]! <= BRANCH) rows[(BRANCH - only[parent]!) * 256 + byte] = id;
        const below = [...children[node]!];
        if (below.length === 1) only[id] = below[0]![0];
        if (below.length > 1) {
          only[id] = BRANCH - rows.length / 256;
          for (let i = 0; i < 256; i++) rows.push(0);
        }
        for (const [next, child] of below.reverse()) {
          stack.push({ node: child, token: token >= 0 ? token : inherited, parent: id, byte: next });
        }
      }
      return { tokens, only, rows: Int32Array.from(rows), prefixes };
    },
  };
}

/** The longest token at `bytes[at … end)`, −1 when none begins there. */
export function longestToken(trie: TokenTrie, bytes: Uint8Array, at: number, end: number): number {
  const { tokens, only, rows } = trie;
  let node = 0;
  let longest = -1;
  for (let i = at; i < end; i++) {
    const byte = bytes[i]!;
    const kind = only[node]!;
    if (kind >= 0) {
      if (kind !== byte) break;
      node++;
    } else {
      if (kind === LEAF) break;
      node = rows[((BRANCH - kind) << 8) | byte]!;
      if (node === 0) break;
    }
    if (tokens[node]! >= 0) longest = tokens[node]!;
  }
  return longest;
}
