/** @file Who reads what: nothing lost, nobody idle, one worker per episode where that is possible. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { createLine, episodeKey, type Waiting } from "../src/load/assign.js";

const frames = (episode: number | undefined, from: number, to: number): Waiting[] =>
  Array.from({ length: to - from }, (_, i) => ({ index: from + i, episode }));

/** Workers at the same pace, the line refilled by `more` while it lasts; what each has read. */
function simulate(numWorkers: number, frames: Waiting[], more: (read: number) => Waiting[] = () => []) {
  const read: Waiting[][] = Array.from({ length: numWorkers }, () => []);
  const line = createLine(numWorkers);
  for (const frame of frames) line.push(frame);
  for (let n = 0; ; n++) {
    const at = n % numWorkers;
    const frame = line.next(at);
    if (!frame) return read;
    read[at]!.push(frame);
    for (const next of more(n + 1)) line.push(next);
  }
}

test("every frame is read once, and evenly", () => {
  const waiting = fc.record({
    index: fc.nat(1000),
    episode: fc.option(fc.nat(5), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(waiting, { maxLength: 100 }), fc.integer({ min: 1, max: 5 }), (line, numWorkers) => {
      const read = simulate(numWorkers, line);
      const sorted = (list: Waiting[]) => list.map((w) => `${w.episode} ${w.index}`).sort();
      expect(sorted(read.flat())).toEqual(sorted(line));
      const counts = read.map((list) => list.length);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    }),
  );
});

test("each episode has one worker, which reads it forward", () => {
  const line = [0, 1, 2, 3].flatMap((episode) => frames(episode, 100 * episode, 100 * episode + 8));
  const read = simulate(2, line);
  expect(new Set(read[0]!.map((w) => w.episode))).toEqual(new Set([0, 2]));
  expect(new Set(read[1]!.map((w) => w.episode))).toEqual(new Set([1, 3]));
  for (const list of read) {
    const indices = list.map((w) => w.index);
    expect(indices).toEqual([...indices].sort((a, b) => a - b));
  }
});

test("in one long episode, two workers read stretches of it", () => {
  // Batches of 32, three in the line, as the loader keeps it.
  let next = 96;
  const more = (read: number) => (read % 32 === 0 && next < 960 ? frames(0, next, (next += 32)) : []);
  const read = simulate(2, frames(0, 0, 96), more);
  expect(
    read
      .flat()
      .map((w) => w.index)
      .sort((a, b) => a - b),
  ).toEqual(Array.from({ length: 960 }, (_, i) => i));
  for (const list of read) {
    const jumps = list.filter((w, i) => i > 0 && w.index !== list[i - 1]!.index + 1);
    expect(jumps.length).toBeLessThanOrEqual(480 / 16 + 2);
  }
});

test("what one has claimed, another reads when nothing else is left; clear gives all", () => {
  const line = createLine(2);
  for (const frame of frames(0, 0, 6)) line.push(frame);
  expect([line.next(0), line.next(1), line.next(1), line.next(0)].map((w) => w?.index)).toEqual([0, 5, 4, 1]);
  for (const frame of frames(1, 9, 11)) line.push(frame);
  expect(line.clear().map((w) => w.index)).toEqual([2, 3, 9, 10]);
  expect(line.next(0)).toBeUndefined();
});

test("frames of no known place go to whoever is free, in order", () => {
  const read = simulate(3, frames(undefined, 0, 9));
  expect(read.map((list) => list.map((w) => w.index))).toEqual([
    [0, 3, 6],
    [1, 4, 7],
    [2, 5, 8],
  ]);
});

test("episodes are told apart by dataset and number, neighbours have different homes", () => {
  const source = (dataset: string) => ({
    totalFrames: 100,
    sample: () => Promise.reject(new Error("not read")),
    locate: (index: number) => ({ dataset, episode: Math.floor(index / 10), frame: index % 10 }),
  });
  const key = (dataset: string, index: number) => episodeKey(source(dataset), index)!;
  expect(key("/a/droid", 3)).toBe(key("/a/droid", 7));
  expect(key("/a/droid", 13) - key("/a/droid", 7)).toBe(1);
  expect(key("/a/droid", 3)).not.toBe(key("/a/libero", 3));
  expect(episodeKey({ totalFrames: 1, sample: source("").sample }, 0)).toBeUndefined();
});
