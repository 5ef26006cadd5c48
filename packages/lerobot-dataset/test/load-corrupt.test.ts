/** @file Frames that cannot be read: fatal and named, or skipped, counted and named. */
import { cpSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { InsulaError, type Sample } from "@insula/model-types";
import { describeShared, sharedPath } from "@insula/test-kit";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import {
  createLoader,
  epochOrder,
  type FrameSource,
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

/** The dataset with frames that fail as a broken image does. */
function withBad(bad: readonly number[], code = "dataset/image"): FrameSource & { reads: number[] } {
  const reads: number[] = [];
  return {
    reads,
    totalFrames: dataset.totalFrames,
    locate: (index) => dataset.locate(index),
    sample: async (index, options) => {
      reads.push(index);
      if (!bad.includes(index)) return dataset.sample(index, options);
      throw new InsulaError(code, `${join(dataset.root, "data", "file-000.parquet")}: row ${index}: broken`);
    },
  };
}

const indices = (batch: readonly Sample[]): number[] => batch.map((s) => s["index"] as number);

async function epochOf(source: FrameSource, options: Partial<LoaderOptions> = {}) {
  const loader = createLoader(source, { batchSize: 5, seed: 4, epochs: 1, onCorrupt: "skip", ...options });
  const batches: number[][] = [];
  for await (const batch of loader) batches.push(indices(batch));
  return { batches, skipped: loader.skipped() };
}

test("by default the first one ends the run, named by episode, frame and file", async () => {
  const loader = createLoader(withBad([6]), { batchSize: 5, shuffle: false });
  const run = async () => {
    for await (const _ of loader);
  };
  await expect(run()).rejects.toMatchObject({
    code: "dataset/image",
    message: `episode 1, frame 1: ${join(dataset.root, "data", "file-000.parquet")}: row 6: broken`,
  });
});

test("skipped ones are replaced by the next of the order, whatever is prefetched", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.nat(14), { maxLength: 13 }),
      fc.nat(50),
      fc.nat(3),
      async (bad, seed, prefetch) => {
        const order = [...epochOrder(15, seed, 0)];
        const expected = order.map((_, p) => {
          let at = p;
          while (bad.includes(order[at % 15]!)) at++;
          return order[at % 15];
        });
        const { batches, skipped } = await epochOf(withBad(bad), { seed, prefetch });
        expect(batches.flat()).toEqual(expected);
        expect(skipped.samples).toBe(bad.length);
        expect(skipped.frames.map(({ index }) => index)).toEqual([...bad].sort((a, b) => a - b));
      },
    ),
    { numRuns: 40 },
  );
});

test("ranks see what one process sees, resumes too, and a bad frame is tried once", async () => {
  const bad = [0, 3, 4, 9];
  const whole = (await epochOf(withBad(bad), { batchSize: 6, epochs: 2 })).batches;
  const halves = await Promise.all(
    [0, 1].map((rank) => epochOf(withBad(bad), { batchSize: 3, worldSize: 2, rank, epochs: 2 })),
  );
  expect(whole).toEqual(whole.map((_, i) => halves.flatMap((half) => half.batches[i]!)));

  const source = withBad(bad);
  const loader = createLoader(source, { batchSize: 3, seed: 4, epochs: 4, prefetch: 0, onCorrupt: "skip" });
  let state = loader.state();
  for await (const _ of loader) if ((state = loader.state()).sampler.position === 6) break;
  const straight = (await epochOf(withBad(bad), { batchSize: 3 })).batches;
  expect((await epochOf(withBad(bad), { batchSize: 3, state })).batches).toEqual(straight.slice(2));
  for await (const _ of loader);
  for (const index of bad) expect(source.reads.filter((i) => i === index).length).toBeLessThanOrEqual(3);
  expect(loader.skipped().frames[1]).toEqual({
    ...{ index: 3, dataset: dataset.root, episode: 0, frame: 3 },
    file: join(dataset.root, "data", "file-000.parquet"),
    code: "dataset/image",
    message: `${join(dataset.root, "data", "file-000.parquet")}: row 3: broken`,
  });
});

test("what is no fault of a frame is never skipped, and neither is everything", async () => {
  await expect(epochOf(withBad([3], "dataset/missing-key"))).rejects.toMatchObject({
    code: "dataset/missing-key",
  });
  const all = Array.from({ length: 15 }, (_, i) => i);
  await expect(epochOf(withBad(all))).rejects.toMatchObject({
    code: "loader/corrupt",
    message: expect.stringMatching(
      /^15 frames cannot be read, more in a row than are skipped; the last: .*broken$/,
    ),
  });
  const failing = () => {
    throw new Error("a transform's own");
  };
  await expect(epochOf(withBad([]), { transform: failing })).rejects.toThrow("a transform's own");
});

describeShared("real video", () => {
  test("a video cut short and one that is gone: the rest trains on, the same with workers", async () => {
    const root = join(folder, "cut");
    cpSync(sharedPath("data/lerobot/droid_subset_v21"), root, { recursive: true });
    const video = (e: number) => join(root, `videos/chunk-000/wrist_image_left/episode_00000${e}.mp4`);
    truncateSync(video(2), 5000);
    rmSync(video(5));
    const cut = await openLeRobotDataset(root, { cameras: ["wrist_image_left"] });
    const episodes = [1, 2, 5];
    const runs = [];
    for (const numWorkers of [0, 2]) {
      runs.push(await epochOf(cut, { batchSize: 24, episodes, numWorkers, actionHorizon: 2 }));
    }
    const [here, there] = runs as [(typeof runs)[0], (typeof runs)[0]];
    expect(there).toEqual(here);
    const episodeOf = (index: number) => cut.locate(index).episode;
    expect(new Set(here.batches.flat().map(episodeOf))).toEqual(new Set([1]));
    expect(here.skipped.samples).toBeGreaterThan(40);
    const files = new Map(here.skipped.frames.map(({ file, code }) => [file, code]));
    expect(files).toEqual(
      new Map([
        [video(2), "dataset/video"],
        [video(5), "dataset/missing-file"],
      ]),
    );
    await cut.close();
  });
});
