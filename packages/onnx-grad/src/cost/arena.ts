/**
 * @file ONNX Runtime's memory arena (`bfc_arena.cc`, after TensorFlow's best-fit-with-coalescing allocator), as
 * sizes only. It hands out a free chunk whole unless more than half of it would be left over, and asks the system
 * for regions of doubling size, so what it holds is more than what was asked for.
 */

/** What the arena rounds a request up to. */
const GRANULE = 256;
/** A chunk that leaves this much over is split whatever its size. */
const MAX_DEAD = 128 * 2 ** 20;
/** The first region. */
const FIRST_REGION = 2 ** 20;
/** Regions stop doubling here. */
const LARGEST_REGION = 2 ** 30;

/** A part of a region, in use or free. */
interface Chunk {
  readonly region: number;
  offset: number;
  size: number;
  free: boolean;
  previous: Chunk | undefined;
  next: Chunk | undefined;
}

/** What the arena makes of a request. */
export function arenaSize(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / GRANULE)) * GRANULE;
}

/** An arena in use. */
export interface Arena {
  /** Take memory; the result gives it back. */
  allocate(bytes: number): () => void;
  /** Bytes of the chunks in use now, most at once, and taken from the system. */
  readonly stats: { inUse: number; maxInUse: number; reserved: number };
}

/**
 * An empty arena.
 * @param grow `next-power-of-two`: regions double (ONNX Runtime's default); `as-requested`: each is as large as the
 *   request that it is made for.
 */
export function createArena(grow: "next-power-of-two" | "as-requested" = "next-power-of-two"): Arena {
  const stats = { inUse: 0, maxInUse: 0, reserved: 0 };
  /** Free chunks, smallest first; equal ones in the order of their place. */
  const free: Chunk[] = [];
  let regions = 0;
  let regionBytes = FIRST_REGION;

  const add = (chunk: Chunk) => {
    chunk.free = true;
    free.splice(lowerBound(free, chunk), 0, chunk);
  };
  const remove = (chunk: Chunk) => {
    chunk.free = false;
    free.splice(free.indexOf(chunk, lowerBound(free, chunk)), 1);
  };
  const extend = (bytes: number) => {
    let size = bytes;
    if (grow === "next-power-of-two") {
      const before = regionBytes;
      while (regionBytes < bytes) regionBytes *= 2;
      size = regionBytes;
      if (regionBytes === before && regionBytes < LARGEST_REGION) regionBytes *= 2;
    }
    stats.reserved += size;
    add({ region: regions++, offset: 0, size, free: true, previous: undefined, next: undefined });
  };
  const split = (chunk: Chunk, bytes: number) => {
    const rest: Chunk = {
      region: chunk.region,
      offset: chunk.offset + bytes,
      size: chunk.size - bytes,
      free: true,
      previous: chunk,
      next: chunk.next,
    };
    if (chunk.next) chunk.next.previous = rest;
    chunk.next = rest;
    chunk.size = bytes;
    add(rest);
  };
  const release = (chunk: Chunk) => {
    stats.inUse -= chunk.size;
    let merged = chunk;
    const { previous, next } = chunk;
    if (next?.free) {
      remove(next);
      join(merged, next);
    }
    if (previous?.free) {
      remove(previous);
      join(previous, merged);
      merged = previous;
    }
    add(merged);
  };

  return {
    stats,
    allocate(bytes) {
      const rounded = arenaSize(bytes);
      let at = firstOfSize(free, rounded);
      if (at === free.length) {
        extend(rounded);
        at = firstOfSize(free, rounded);
      }
      const chunk = free[at]!;
      remove(chunk);
      if (chunk.size >= 2 * rounded || chunk.size - rounded >= MAX_DEAD) split(chunk, rounded);
      stats.inUse += chunk.size;
      stats.maxInUse = Math.max(stats.maxInUse, stats.inUse);
      return () => release(chunk);
    },
  };
}

/** Make the neighbours one. */
function join(left: Chunk, right: Chunk): void {
  left.size += right.size;
  left.next = right.next;
  if (right.next) right.next.previous = left;
}

/** Where `chunk` belongs among the sorted free ones. */
function lowerBound(free: readonly Chunk[], { size, region, offset }: Chunk): number {
  return search(
    free,
    (c) =>
      c.size < size || (c.size === size && (c.region < region || (c.region === region && c.offset < offset))),
  );
}

function firstOfSize(free: readonly Chunk[], bytes: number): number {
  return search(free, (c) => c.size < bytes);
}

/** How many of the first elements satisfy `before`, which holds up to some element and then no more. */
function search(free: readonly Chunk[], before: (chunk: Chunk) => boolean): number {
  let [low, high] = [0, free.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (before(free[middle]!)) low = middle + 1;
    else high = middle;
  }
  return low;
}
