/** @file Sampler and loader: permutations, exact resume, bounded prefetch. */
import { join } from "node:path";
import type { Sample } from "@insula/model-types";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import {
  createLoader,
  createSampler,
  epochOrder,
  type LeRobotDataset,
  type LoaderOptions,
  openLeRobotDataset,
} from "../src/index.js";
import { tempFolder, writeTiny } from "./fixtures.js";

const folder = tempFolder();
let dataset: LeRobotDataset;
beforeAll(async () => {
  await writeTiny(join(folder, "tiny"), [5, 3, 7]);
  dataset = await openLeRobotDataset(join(folder, "tiny"), { cameras: [] });
});

const seeds = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const take = (sampler: { next(): number }, n: number): number[] =>
  Array.from({ length: n }, () => sampler.next());

describe("sampler", () => {
  test("an epoch is a permutation", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), seeds, fc.nat(5), (length, seed, epoch) => {
        const order = epochOrder(length, seed, epoch);
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length }, (_, i) => i));
      }),
    );
  });

  test("every position is as likely for every index", () => {
    const counts = Array.from({ length: 5 }, () => new Array<number>(5).fill(0));
    for (let seed = 0; seed < 4000; seed++) {
      for (const [at, index] of epochOrder(5, seed, 0).entries()) counts[at]![index]!++;
    }
    // Binomial(4000, 1/5): mean 800, deviation 25; 5 deviations.
    for (const count of counts.flat()) expect(Math.abs(count - 800)).toBeLessThan(125);
  });

  test("epochs and seeds differ, the same one repeats", () => {
    expect(epochOrder(50, 1, 0)).not.toEqual(epochOrder(50, 1, 1));
    expect(epochOrder(50, 1, 0)).not.toEqual(epochOrder(50, 2, 0));
    expect(epochOrder(50, 1, 3)).toEqual(epochOrder(50, 1, 3));
  });

  test("the order of a seed never changes between releases", () => {
    expect([...epochOrder(10, 42, 0)]).toEqual([1, 4, 5, 0, 9, 6, 3, 2, 7, 8]);
  });

  test("resuming from JSON equals the straight run, anywhere", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        seeds,
        fc.boolean(),
        fc.nat(100),
        fc.nat(100),
        (length, seed, shuffle, before, after) => {
          const straight = take(createSampler({ length, seed, shuffle }), before + after);
          const first = createSampler({ length, seed, shuffle });
          take(first, before);
          const state = JSON.parse(JSON.stringify(first.state()));
          const resumed = createSampler({ length, seed, shuffle, state });
          expect(take(resumed, after)).toEqual(straight.slice(before));
        },
      ),
    );
  });

  test("refuses bad options and foreign states", () => {
    expect(() => createSampler({ length: 0, seed: 1 })).toThrow("expected a length of at least 1, found 0");
    expect(() => createSampler({ length: 3, seed: -1 })).toThrow("expected a seed in [0, 2^32), found -1");
    const state = createSampler({ length: 3, seed: 1 }).state();
    expect(() => createSampler({ length: 4, seed: 1, state })).toThrow(
      "sampler: cannot resume: length was 3, now it is 4",
    );
    expect(() => createSampler({ length: 3, seed: 1, state: { ...state, position: 9 } })).toThrow(
      "bad state",
    );
  });
});

const collect = async (options: LoaderOptions, batches = Number.POSITIVE_INFINITY): Promise<number[][]> => {
  const out: number[][] = [];
  if (batches === 0) return out;
  for await (const batch of createLoader(dataset, options)) {
    out.push(batch.map((s) => s["index"] as number));
    if (out.length === batches) break;
  }
  return out;
};

describe("loader", () => {
  test("an epoch visits every frame once, in the sampler's order", async () => {
    const batches = await collect({ batchSize: 4, seed: 3, epochs: 1, dropLast: false });
    expect(batches.map((b) => b.length)).toEqual([4, 4, 4, 3]);
    expect(batches.flat()).toEqual([...epochOrder(15, 3, 0)]);
    expect((await collect({ batchSize: 4, seed: 3, epochs: 2 })).map((b) => b.length)).toEqual([
      4, 4, 4, 4, 4, 4,
    ]);
  });

  test("resuming after any batch equals the straight run", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          batchSize: fc.integer({ min: 1, max: 15 }),
          seed: seeds,
          prefetch: fc.nat(4),
          dropLast: fc.boolean(),
          shuffle: fc.boolean(),
        }),
        fc.nat(6),
        async (options, before) => {
          const straight = await collect(options, before + 4);
          const loader = createLoader(dataset, options);
          let seen = 0;
          if (before > 0) for await (const _ of loader) if (++seen === before) break;
          const state = JSON.parse(JSON.stringify(loader.state()));
          expect(await collect({ ...options, state }, 4)).toEqual(straight.slice(before));
        },
      ),
      { numRuns: 30 },
    );
  });

  test("chosen episodes only", async () => {
    const batches = await collect({ batchSize: 2, episodes: [2, 0], epochs: 1, shuffle: false });
    expect(batches.flat()).toEqual([8, 9, 10, 11, 12, 13, 14, 0, 1, 2, 3, 4]);
    expect(() => createLoader(dataset, { batchSize: 1, episodes: [7] })).toThrow(
      "episodes: 7 is not one of the 3 episodes of the dataset",
    );
  });

  test("prefetch is bounded, transforms see every sample, errors arrive in turn", async () => {
    let started = 0;
    const transform = async (sample: Sample): Promise<Sample> => {
      started++;
      return { ...sample, seen: true };
    };
    let batches = 0;
    for await (const batch of createLoader(dataset, {
      batchSize: 2,
      prefetch: 2,
      transform,
      shuffle: false,
    })) {
      expect(batch.every((s) => s["seen"] === true)).toBe(true);
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(started).toBeLessThanOrEqual((++batches + 2) * 2);
      if (batches === 5) break;
    }
    const failing = (sample: Sample): Sample => {
      if (sample["index"] === 4) throw new Error("sample 4");
      return sample;
    };
    const delivered: number[][] = [];
    const run = async () => {
      for await (const batch of createLoader(dataset, { batchSize: 2, transform: failing, shuffle: false })) {
        delivered.push(batch.map((s) => s["index"] as number));
      }
    };
    await expect(run()).rejects.toThrow("sample 4");
    expect(delivered).toEqual([
      [0, 1],
      [2, 3],
    ]); // prettier-ignore
  });

  test("action chunks repeat the episode's last row and mark it", async () => {
    for await (const [sample] of createLoader(dataset, {
      batchSize: 1,
      actionHorizon: 4,
      shuffle: false,
      epochs: 1,
    })) {
      const { frame_index: frame, episode_index: episode } = sample as unknown as Record<string, number>;
      const left = dataset.episodes[episode!]!.length - frame!;
      const pad = (sample!["actions_is_pad"] as { data: Uint8Array }).data;
      expect([...pad]).toEqual([0, 1, 2, 3].map((t) => Number(t >= left)));
      const actions = (sample!["actions"] as { data: Float32Array }).data;
      const rows = [0, 1, 2, 3].map((t) => actions[t * 4]);
      expect(rows).toEqual([0, 1, 2, 3].map((t) => episode! + (frame! + Math.min(t, left - 1)) / 16));
    }
  });

  test("refuses batches that can never be filled, other workers, foreign states", () => {
    expect(() => createLoader(dataset, { batchSize: 16 })).toThrow(
      "batchSize: expected between 1 and the 15 frames of the dataset, found 16",
    );
    expect(() => createLoader(dataset, { batchSize: 1, numWorkers: -1 })).toThrow(
      "numWorkers: expected 0 to 1024, found -1",
    );
    const { totalFrames, sample } = dataset;
    // Not even with all of a dataset's fields: a worker would read other frames.
    for (const source of [
      { totalFrames, sample },
      { ...dataset, totalFrames: 3 },
    ]) {
      expect(() => createLoader(source, { batchSize: 1, numWorkers: 1 })).toThrow(
        "numWorkers: this source is not a dataset, so a worker must be told how to open it",
      );
    }
    expect(() => createLoader({ totalFrames, sample }, { batchSize: 1, episodes: [0] })).toThrow(
      "episodes: only those of a dataset can be chosen here",
    );
    const state = createLoader(dataset, { batchSize: 2 }).state();
    expect(() => createLoader(dataset, { batchSize: 3, state })).toThrow("batchSize was 2, now it is 3");
  });
});
