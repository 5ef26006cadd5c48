/** @file How fast, and how much memory per call. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Calls per second of `run` over `items`: the best of as many rounds as fit into `seconds`. */
export function rate(items, run, seconds, calls = items.length) {
  const round = () => {
    for (const item of items) run(item);
  };
  for (let i = 0; i < 20; i++) round();
  let best = Number.POSITIVE_INFINITY;
  for (const end = performance.now() + 1000 * seconds; performance.now() < end; ) {
    const start = performance.now();
    round();
    best = Math.min(best, performance.now() - start);
  }
  return (1000 * calls) / best;
}

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc");

/**
 * Bytes that `run` allocates per call, on the heap and in buffers outside of it: the median of many short rounds, since
 * one with a collection in it counts wrong.
 */
export function bytesPerCall(items, run) {
  const used = () => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const few = items.slice(0, 100);
  const kept = new Array(few.length);
  const rounds = Array.from({ length: 41 }, () => {
    kept.fill(0);
    gc();
    const before = used();
    for (let i = 0; i < few.length; i++) kept[i] = run(few[i]);
    return (used() - before) / few.length;
  });
  return rounds.sort((a, b) => a - b)[20];
}
