/**
 * @file Which worker reads which frame next. Each episode has a home worker, whose decoders and caches know it; a
 * worker without frames of its own takes some from the end of the line, far from where their owner is at work. Frames
 * that follow each other in an episode stay together. Nobody idles while a frame waits.
 */
import type { FrameSource } from "../frame-source.js";

/** A frame that waits to be read. */
export interface Waiting {
  readonly index: number;
  /** Stands for its episode; undefined: its place is unknown, and any worker will do. */
  readonly episode: number | undefined;
}

/** The frames that wait. */
export interface Line<T extends Waiting> {
  push(frame: T): void;
  /** The next frame for worker `at`; undefined when none waits. */
  next(at: number): T | undefined;
  /** Take everything out. */
  clear(): T[];
}

/** Most frames in a row that a worker claims: enough to be worth a seek. */
const STRETCH = 16;

/** An empty line for workers `0 … numWorkers - 1`. */
export function createLine<T extends Waiting>(numWorkers: number): Line<T> {
  const waiting: T[] = [];
  /** What each worker has claimed and not begun. */
  const claims: T[][] = Array.from({ length: numWorkers }, () => []);

  const claim = (at: number): T[] => {
    const own = waiting.findIndex(({ episode }) => episode === undefined || episode % numWorkers === at);
    let from = own < 0 ? waiting.length - 1 : own;
    let to = from + 1;
    if (own < 0) while (from > 0 && to - from < STRETCH && goesOn(waiting[from - 1]!, waiting[from]!)) from--;
    while (to < waiting.length && to - from < STRETCH && goesOn(waiting[to - 1]!, waiting[to]!)) to++;
    return waiting.splice(from, to - from);
  };

  return {
    push: (frame) => void waiting.push(frame),
    next(at) {
      if (claims[at]!.length === 0 && waiting.length > 0) claims[at] = claim(at);
      // Nothing left to claim: help whoever has most.
      return claims[at]!.shift() ?? claims.reduce((a, b) => (b.length > a.length ? b : a)).pop();
    },
    clear: () => [...claims.flatMap((claimed) => claimed.splice(0)), ...waiting.splice(0)],
  };
}

/** Whether `b` comes after `a` in the same episode. */
const goesOn = (a: Waiting, b: Waiting): boolean =>
  a.episode !== undefined && a.episode === b.episode && a.index < b.index;

/** A number for the episode of frame `index`: episodes that follow each other have different homes. */
export function episodeKey(source: FrameSource, index: number): number | undefined {
  const place = source.locate?.(index);
  if (!place) return undefined;
  let hash = 0;
  for (let i = 0; i < place.dataset.length; i++) hash = (hash * 31 + place.dataset.charCodeAt(i)) >>> 0;
  return hash + place.episode;
}
