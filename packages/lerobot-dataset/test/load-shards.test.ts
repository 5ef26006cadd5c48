/** @file Ranks share every batch: nothing twice, nothing lost, one state for all of them. */
import { join } from "node:path";
import type { Sample } from "@insula/model-types";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import {
  createLoader,
  epochOrder,
  type FrameSource,
  type LeRobotDataset,
  type LoaderOptions,
  type LoaderState,
  openLeRobotDataset,
} from "../src/index.js";
import { tempFolder, writeTiny } from "./fixtures.js";

const folder = tempFolder();
let dataset: LeRobotDataset;
const FRAMES = 15;
beforeAll(async () => {
  await writeTiny(join(folder, "tiny"), [5, 3, 7]);
  dataset = await openLeRobotDataset(join(folder, "tiny"), { cameras: [] });
});

const indices = (batch: readonly Sample[]): number[] => batch.map((s) => s["index"] as number);

async function batchesOf(source: FrameSource, options: LoaderOptions, most = 1000) {
  const loader = createLoader(source, options);
  const batches: number[][] = [];
  const states: LoaderState[] = [];
  for await (const batch of loader) {
    batches.push(indices(batch));
    states.push(loader.state());
    if (batches.length === most) break;
  }
  return { batches, states, perEpoch: loader.batchesPerEpoch };
}

const setups = fc
  .record({
    batchSize: fc.integer({ min: 1, max: 5 }),
    worldSize: fc.integer({ min: 1, max: 5 }),
    seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    dropLast: fc.boolean(),
    shuffle: fc.boolean(),
    epochs: fc.constant(2),
  })
  .filter(({ batchSize, worldSize }) => batchSize * worldSize <= FRAMES);

test("the ranks' parts, put together, are the batches of one process", async () => {
  await fc.assert(
    fc.asyncProperty(setups, async (setup) => {
      const { worldSize, batchSize } = setup;
      const whole = await batchesOf(dataset, { ...setup, worldSize: 1, batchSize: batchSize * worldSize });
      const ranks = await Promise.all(
        Array.from({ length: worldSize }, (_, rank) => batchesOf(dataset, { ...setup, rank })),
      );
      for (const rank of ranks) {
        expect(rank.states).toEqual(whole.states);
        expect(rank.perEpoch).toBe(whole.perEpoch);
        expect(rank.batches).toHaveLength(2 * rank.perEpoch);
      }
      for (const [i, batch] of whole.batches.entries()) {
        const parts = ranks.map((rank) => rank.batches[i]!);
        expect(parts.flat()).toEqual(batch);
        const sizes = parts.map((part) => part.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }
    }),
    { numRuns: 40 },
  );
});

test("a state of any rank continues on any number of ranks", async () => {
  const { batches } = await batchesOf(dataset, { batchSize: 4, seed: 2 }, 6);
  const { states } = await batchesOf(dataset, { batchSize: 2, worldSize: 2, rank: 1, seed: 2 }, 3);
  const resumed = await Promise.all(
    [0, 1, 2, 3].map((rank) =>
      batchesOf(dataset, { batchSize: 1, worldSize: 4, rank, seed: 2, state: states[2]! }, 3),
    ),
  );
  for (const [i, batch] of batches.slice(3).entries()) {
    expect(resumed.flatMap((rank) => rank.batches[i]!)).toEqual(batch);
  }
});

test("a rest of fewer frames than ranks leaves some ranks an empty batch", async () => {
  const lasts: number[][] = [];
  for (const rank of [0, 1, 2, 3, 4, 5, 6]) {
    const { batches } = await batchesOf(dataset, {
      ...{ batchSize: 2, worldSize: 7, rank, dropLast: false, shuffle: false, epochs: 1 },
    });
    lasts.push(batches.at(-1)!);
  }
  expect(lasts.flat()).toEqual([14]);
  expect(lasts.filter((last) => last.length === 0)).toHaveLength(6);
});

test("ranks that do not exist, and batches that can never be filled together", () => {
  expect(() => createLoader(dataset, { batchSize: 1, rank: 2, worldSize: 2 })).toThrow(
    "rank: expected one of [0, worldSize), found rank 2 of 2",
  );
  expect(() => createLoader(dataset, { batchSize: 4, worldSize: 4 })).toThrow(
    "batchSize: expected between 1 and the 15 frames of the dataset, found 4 on each of 4 ranks",
  );
});

test("a source's own order is followed, resumed and sharded", async () => {
  /** Twice as many draws from the even frames as there are. */
  const order = (seed: number, epoch: number): Uint32Array =>
    epochOrder(16, seed, epoch).map((i) => (2 * i) % 16);
  const source: FrameSource = { totalFrames: 15, sample: (i, o) => dataset.sample(i, o), order };
  const { batches, states, perEpoch } = await batchesOf(source, { batchSize: 4, seed: 9, epochs: 2 });
  expect(perEpoch).toBe(4);
  expect(batches.flat()).toEqual([...order(9, 0), ...order(9, 1)]);
  const rest = await batchesOf(source, { batchSize: 4, seed: 9, epochs: 2, state: states[4]! });
  expect(rest.batches).toEqual(batches.slice(5));
  const second = await batchesOf(source, { batchSize: 2, worldSize: 2, rank: 1, seed: 9, epochs: 2 });
  expect(second.batches).toEqual(batches.map((batch) => batch.slice(2)));
  // In order, every frame comes once.
  const plain = await batchesOf(source, { batchSize: 5, shuffle: false, epochs: 1 });
  expect(plain.batches.flat()).toEqual(Array.from({ length: 15 }, (_, i) => i));
});

test("slots number batches from the very first and rows across ranks, and survive a resume", async () => {
  const slots = async (options: Partial<LoaderOptions>, most: number) => {
    const seen: string[] = [];
    const transform: LoaderOptions["transform"] = (sample, { batch, row }) => {
      return { ...sample, slot: `${batch}.${row}` };
    };
    const loader = createLoader(dataset, { batchSize: 4, seed: 1, transform, ...options });
    let batches = 0;
    for await (const batch of loader) {
      seen.push(...batch.map((sample) => `${sample["index"]}@${sample["slot"]}`));
      if (++batches === most) break;
    }
    return { seen, state: loader.state() };
  };
  for (const dropLast of [true, false]) {
    const straight = (await slots({ dropLast }, 9)).seen;
    const sizes = dropLast ? [4, 4, 4, 4, 4, 4, 4, 4, 4] : [4, 4, 4, 3, 4, 4, 4, 3, 4];
    expect(straight.map((s) => s.split("@")[1])).toEqual(
      sizes.flatMap((size, batch) => Array.from({ length: size }, (_, row) => `${batch}.${row}`)),
    );
    const { state } = await slots({ dropLast }, 5);
    expect((await slots({ dropLast, state }, 4)).seen).toEqual(straight.slice(dropLast ? 20 : 19));
    const ranks = await Promise.all(
      [0, 1].map((rank) => slots({ dropLast, batchSize: 2, worldSize: 2, rank }, 9)),
    );
    expect(ranks.flatMap(({ seen }) => seen).sort()).toEqual([...straight].sort());
  }
});
