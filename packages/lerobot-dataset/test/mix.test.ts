import { join } from "node:path";
import type { NdArray, Sample } from "@insula/model-types";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createLoader, type FrameSource, mixSources, openLeRobotDataset } from "../src/index.js";
import { tempFolder, writeTiny } from "./fixtures.js";

const array = (...values: number[]): NdArray => ({ data: Float32Array.from(values), shape: [values.length] });

/** `n` frames that say which they are. */
const numbered = (n: number, more: Sample = {}): FrameSource => ({
  totalFrames: n,
  sample: async (index) => ({ state: array(index), ...more }),
});

/** Frames per source in an epoch, as frames of each. */
const bySource = (order: Uint32Array, offsets: readonly number[]): number[][] => {
  const found: number[][] = offsets.map(() => []);
  for (const index of order) {
    const i = offsets.findLastIndex((first) => first <= index);
    found[i]!.push(index - offsets[i]!);
  }
  return found;
};

test("shares are exact to within one frame, and no frame of a source comes twice before all have come", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.double({ min: 0.2, max: 5, noNaN: true })), {
        minLength: 1,
        maxLength: 4,
      }),
      fc.integer({ min: 100, max: 300 }),
      fc.nat(1000),
      async (sources, epochFrames, seed) => {
        const mix = await mixSources(
          sources.map(([n, weight]) => ({ source: numbered(n), weight })),
          { epochFrames },
        );
        expect(mix.totalFrames).toBe(sources.reduce((a, [n]) => a + n, 0));
        const sum = sources.reduce((a, [, w]) => a + w, 0);
        for (const [i, [, weight]] of sources.entries()) {
          expect(Math.abs(mix.counts[i]! - (weight / sum) * epochFrames)).toBeLessThan(1);
        }
        const walked: number[][] = sources.map(() => []);
        for (let epoch = 0; epoch < 3; epoch++) {
          const order = mix.order(seed, epoch);
          expect(order.length).toBe(epochFrames);
          for (const [i, frames] of bySource(order, mix.offsets).entries()) {
            expect(frames.length).toBe(mix.counts[i]);
            walked[i]!.push(...frames);
          }
        }
        // Passes through a source go on from one epoch to the next.
        for (const [i, [n]] of sources.entries()) {
          for (let at = 0; at < walked[i]!.length; at += n) {
            const pass = walked[i]!.slice(at, at + n);
            expect(new Set(pass).size).toBe(pass.length);
          }
        }
      },
    ),
    { numRuns: 30 },
  );
});

test("the order depends on seed and epoch alone; sources of one size are walked differently", async () => {
  const make = () =>
    mixSources([
      { source: numbered(50), weight: 1 },
      { source: numbered(50), weight: 1 },
    ]);
  const [a, b] = [await make(), await make()];
  expect(a.order(7, 3)).toEqual(b.order(7, 3));
  expect(a.order(7, 3)).not.toEqual(a.order(7, 4));
  expect(a.order(7, 3)).not.toEqual(a.order(8, 3));
  const [first, second] = bySource(a.order(7, 0), a.offsets);
  expect(first).not.toEqual(second);
  // mixed through and through: no half of the epoch is of one source alone
  const half = bySource(a.order(7, 0).slice(0, 50), a.offsets);
  expect(Math.min(...half.map((f) => f.length))).toBeGreaterThan(10);
});

test("weights that do not add up to 1 mean the same as those that do", async () => {
  const mix = (weights: readonly number[]) =>
    mixSources(
      weights.map((weight) => ({ source: numbered(30), weight })),
      { epochFrames: 100 },
    );
  expect((await mix([3, 1])).counts).toEqual([75, 25]);
  expect((await mix([0.75, 0.25])).order(1, 0)).toEqual((await mix([3, 1])).order(1, 0));
  expect((await mix([1, 1, 1])).counts).toEqual([34, 33, 33]);
});

test("samples go through the transform of their source; a mixture can be mixed again", async () => {
  const twice = (sample: Sample): Sample => ({
    state: array(2 * Number((sample["state"] as NdArray).data[0])),
  });
  const inner = await mixSources([
    { source: numbered(2), weight: 1 },
    { source: numbered(3), weight: 1, transform: async (s) => twice(s) },
  ]);
  const outer = await mixSources([
    { source: numbered(4), weight: 1 },
    { source: inner, weight: 3 },
  ]);
  const values = await Promise.all(
    Array.from({ length: 9 }, async (_, i) => (await outer.sample(i))["state"] as NdArray),
  );
  expect(values.map(({ data }) => data[0])).toEqual([0, 1, 2, 3, 0, 1, 0, 2, 4]);
  expect(outer.order(0, 0).length).toBe(9);
  await expect(outer.sample(9)).rejects.toMatchObject({ code: "dataset/index" });
});

test("a loader draws a mixture in its proportions and resumes in the middle of an epoch", async () => {
  const [a, b] = [join(tempFolder(), "a"), join(tempFolder(), "b")];
  await writeTiny(a, [8]);
  await writeTiny(b, [3, 3]);
  const sets = await Promise.all([a, b].map((dir) => openLeRobotDataset(dir, { cameras: [] })));
  const mix = await mixSources(
    [
      { source: sets[0]!, weight: 1, transform: (s) => ({ ...s, from: 0 }) },
      { source: sets[1]!, weight: 3, transform: (s) => ({ ...s, from: 1 }) },
    ],
    { epochFrames: 24, sample: { actionHorizon: 2 } },
  );
  expect(mix.locate(9)).toMatchObject({ dataset: sets[1]!.root, episode: 0, frame: 1 });
  const options = { batchSize: 4, seed: 5, actionHorizon: 2 };
  const drawn = async (loader: ReturnType<typeof createLoader>, batches: number) => {
    const seen: string[] = [];
    for await (const batch of loader) {
      for (const s of batch) seen.push(`${s["from"]}/${s["episode_index"]}/${s["frame_index"]}`);
      if (--batches === 0) break;
    }
    return seen;
  };
  const straight = await drawn(createLoader(mix, options), 12);
  expect(straight.slice(0, 24).filter((s) => s.startsWith("0"))).toHaveLength(6);
  expect(straight.slice(24).filter((s) => s.startsWith("0"))).toHaveLength(6);
  const start = createLoader(mix, options);
  const before = await drawn(start, 4);
  const after = await drawn(createLoader(mix, { ...options, state: start.state() }), 8);
  expect([...before, ...after]).toEqual(straight);
});

test("what cannot be mixed is said, with source, key, expected and found", async () => {
  const fail = async (parts: Parameters<typeof mixSources>[0], options = {}) =>
    mixSources(parts, options).then(
      () => expect.unreachable(),
      (e: Error) => e.message,
    );
  const one = { source: numbered(10), weight: 1 };
  expect(await fail([])).toContain("at least one source");
  expect(await fail([one, { ...one, weight: 0 }])).toContain("source 1: expected a weight above 0, found 0");
  expect(await fail([one, { ...one, weight: 1e-4 }])).toContain(
    "source 1: weight 0.0001 of 1.0001 is less than one of 20 frames",
  );
  expect(await fail([one], { epochFrames: 0 })).toContain("epochFrames: expected at least 1, found 0");
  expect(await fail([one, { source: numbered(3, { success: true }), weight: 1 }])).toBe(
    "source 1: success: expected nothing as in source 0, found boolean; samples of a mixture must agree, give the source a transform",
  );
  const wide = { name: "aloha", source: numbered(3, { state: array(1, 2) }), weight: 1 };
  expect(await fail([one, wide])).toContain(
    "aloha: state: expected Float32Array [1] as in source 0, found Float32Array [2]",
  );
  const nested = (shape: number[]) => numbered(3, { image: { base: { data: new Uint8Array(12), shape } } });
  expect(
    await fail([
      { source: nested([2, 2, 3]), weight: 1 },
      { source: nested([1, 4, 3]), weight: 1 },
    ]),
  ).toContain("image/base: expected Uint8Array [2, 2, 3]");
});
