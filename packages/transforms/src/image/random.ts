/** @file Random numbers that depend on nothing but the numbers they are asked for by: no state to save or restore. */

/** MurmurHash3's finaliser over a running hash. */
function mix(hash: number, word: number): number {
  let h = Math.imul(hash ^ word, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) + 0x9e3779b9;
}

/**
 * A generator for `key`, whole numbers such as (seed, step, sample): the same key, the same stream, other keys
 * unrelated ones. Uniform in [0, 1), 32 bits: Chris Doty-Humphrey's sfc32.
 */
export function keyedRandom(...key: readonly number[]): () => number {
  const state = [1, 2, 3].map((salt) =>
    key.reduce((h, n) => mix(mix(h, n | 0), Math.floor(n / 2 ** 32) | 0), mix(salt, key.length)),
  );
  let [a, b, c] = state as [number, number, number];
  let counter = 1;
  const next = (): number => {
    const out = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + out;
    return (out >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 12; i++) next();
  return next;
}
