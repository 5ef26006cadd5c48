/**
 * @file Damage at random places: a file cut anywhere, with any bytes changed, is read as a dataset of the same
 * shape or refused by an InsulaError; never a crash, a hang or another error. 60 to 200 cases per kind of file;
 * INSULA_FUZZ_RUNS for others, INSULA_FULL=1 for 10 000.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InsulaError, type NdArray } from "@insula/model-types";
import { describeShared, sharedPath } from "@insula/test-kit";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openLeRobotDataset } from "../src/index.js";
import { openParquet } from "../src/read/parquet.js";
import { openVideo } from "../src/video/video-file.js";
import { tempFolder } from "./fixtures.js";
import { rawDataset, writeRaw } from "./raw-dataset.js";

/** Cases per file, when not the usual number. */
const RUNS = Number(process.env["INSULA_FUZZ_RUNS"] ?? (process.env["INSULA_FULL"] ? 10_000 : 0));
/** Half a minute as usual; with more cases, what they need. */
const timeout = Math.max(30_000, RUNS * 100);
const folder = tempFolder();
/** CPU time that one damaged file may take; a hang ends in the test's own timeout. */
const SECONDS = 5;

interface Damage {
  /** Where it is cut, as a fraction of its length; 1: nowhere. */
  cut: number;
  /** Place, as a fraction, and new byte. */
  flips: [number, number][];
}

const byte = fc.oneof(fc.constantFrom(0, 1, 127, 128, 255), fc.nat(255));
const damage: fc.Arbitrary<Damage> = fc.record({
  cut: fc.oneof(
    { weight: 2, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.double({ min: 0, max: 1, noNaN: true }) },
  ),
  // Headers and footers are where numbers lie; the middle is mostly values.
  flips: fc.array(
    fc.tuple(
      fc.oneof(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0.97, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 0.03, noNaN: true }),
      ),
      byte,
    ),
    { maxLength: 6 },
  ),
});

function damaged(bytes: Uint8Array, { cut, flips }: Damage): Buffer {
  const copy = Buffer.from(bytes.subarray(0, Math.floor(bytes.length * cut)));
  for (const [place, value] of flips)
    if (copy.length > 0) copy[Math.floor(place * (copy.length - 1))] = value;
  return copy;
}

/** Run `read`; it may fail, but only so. */
async function survives(read: () => Promise<void>): Promise<"read" | "refused"> {
  const start = process.cpuUsage();
  try {
    await read();
    return "read";
  } catch (error) {
    if (!(error instanceof InsulaError)) throw error;
    expect(error.code).toMatch(/^dataset\//);
    return "refused";
  } finally {
    const { user, system } = process.cpuUsage(start);
    expect((user + system) / 1e6).toBeLessThan(SECONDS);
  }
}

async function check(cases: number, run: (damage: Damage) => Promise<"read" | "refused">): Promise<void> {
  const seen = { read: 0, refused: 0 };
  const property = fc.asyncProperty(damage, async (d) => void seen[await run(d)]++);
  await fc.assert(property, { numRuns: RUNS || cases, endOnFailure: true });
  // The damage is neither harmless nor always fatal at the first byte.
  expect(Math.min(seen.read, seen.refused)).toBeGreaterThan(0);
}

describe.each(["v2.1", "v3.0"] as const)("a %s dataset with one damaged file", (version) => {
  const raw = rawDataset([4, 3], version);
  const good = join(folder, version);
  writeRaw(good, raw);
  const paths = readdirSync(good, { recursive: true, encoding: "utf8" }).filter((path) =>
    /(\.json|\.jsonl|[^1]\.parquet)$/.test(path),
  );

  test.each(paths)("%s", { timeout }, async (path) => {
    const dir = join(folder, `${version}-${paths.indexOf(path)}`);
    cpSync(good, dir, { recursive: true });
    const bytes = readFileSync(join(good, path));
    await check(version === "v2.1" ? 120 : 80, (d) =>
      survives(async () => {
        writeFileSync(join(dir, path), damaged(bytes, d));
        const dataset = await openLeRobotDataset(dir);
        const { totalFrames, features } = dataset;
        for (const name of ["state", "actions"]) {
          if (!(name in features)) continue;
          const { data, shape } = await dataset.column(name);
          expect(data).toHaveLength(shape.reduce((a, b) => a * b, 1));
          expect(shape[0]).toBe(totalFrames);
        }
        for (const index of [0, totalFrames - 1]) {
          const sample = await dataset.sample(index, { actionHorizon: 3 });
          expect((sample["actions"] as NdArray).shape[0]).toBe(3);
          expect(typeof sample["task"]).toBe("string");
        }
        await dataset.close();
      }),
    );
  });
});

test("a parquet file that ends anywhere before its end is refused, and so is one with more behind it", async () => {
  const whole = join(folder, "v3.0/meta/tasks.parquet");
  const bytes = readFileSync(whole);
  const path = join(folder, "cut.parquet");
  for (let length = 0; length < bytes.length; length++) {
    writeFileSync(path, bytes.subarray(0, length));
    await expect(openParquet(path), `${length} bytes`).rejects.toMatchObject({ code: "dataset/parquet" });
  }
  writeFileSync(path, Buffer.concat([bytes, Buffer.from([0])]));
  await expect(openParquet(path)).rejects.toMatchObject({ code: "dataset/parquet" });
});

describe("a damaged video", () => {
  const dir = join(folder, "video");
  writeRaw(dir, rawDataset([12], "v2.1", true));
  const bytes = readFileSync(join(dir, "videos/chunk-000/cam/episode_000000.mp4"));

  test("MPEG-4", { timeout }, () => fuzzVideo(bytes, 200, 10));
});

async function fuzzVideo(bytes: Uint8Array, cases: number, fps: number): Promise<void> {
  const path = join(folder, "damaged.mp4");
  await check(cases, (d) =>
    survives(async () => {
      writeFileSync(path, damaged(bytes, d));
      const video = await openVideo(path);
      try {
        for (const frame of [0, 5, 2]) {
          const { data, shape } = await video.frame(frame / fps);
          expect(data).toHaveLength(shape.reduce((a, b) => a * b, 1));
        }
      } finally {
        await video.close();
      }
    }),
  );
}

describeShared("damaged files that LeRobot wrote", () => {
  const parquet = {
    data: "droid_subset_v30_multifile/data/chunk-000/file-000.parquet",
    episodes: "droid_subset_v30_multifile/meta/episodes/chunk-000/file-000.parquet",
    tasks: "droid_subset_v30/meta/tasks.parquet",
  };
  test.each(Object.entries(parquet))("%s", { timeout }, async (name, file) => {
    const bytes = readFileSync(sharedPath("data/lerobot", file));
    const path = join(folder, `${name}.parquet`);
    await check(60, (d) =>
      survives(async () => {
        writeFileSync(path, damaged(bytes, d));
        const parquetFile = await openParquet(path);
        try {
          const { columns, rows } = parquetFile;
          await parquetFile.read(columns, 0, rows, (_, values, first) => {
            expect(first + values.length).toBeLessThanOrEqual(rows);
          });
        } finally {
          await parquetFile.close();
        }
      }),
    );
  });

  const videos = {
    AV1: ["droid_subset_v21/videos/chunk-000/wrist_image_left/episode_000000.mp4", 5],
    "H.264": ["droid_subset_v30_multifile/videos/wrist_image_left/chunk-000/file-000.mp4", 5],
  } as const;
  test.each(Object.entries(videos))("%s", { timeout }, async (_, [file, fps]) => {
    mkdirSync(folder, { recursive: true });
    await fuzzVideo(readFileSync(sharedPath("data/lerobot", file)), 40, fps);
  });
});
