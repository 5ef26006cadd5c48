import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createLeRobotDataset,
  type Episode,
  type LeRobotDataset,
  openLeRobotDataset,
} from "@insula/lerobot-dataset";
import type { NdArray, Sample } from "@insula/model-types";
import { describeShared, sharedPath } from "@insula/test-kit";
import { deltaActions, getStatistics, makeBoolMask, packRunningStats } from "@insula/transforms";
import { readNormStats } from "@insula/transforms/node";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { ROBOTS } from "../src/configs/types.js";
import {
  datasetFrameStats,
  mixFrameStats,
  type NormStatsOptions,
  normStatsOf,
  normStatsWarnings,
} from "../src/data/norm-stats.js";
import { robotSpec, statesOf } from "../src/data/robots.js";
import { partsOf } from "../src/data/stats/count-parts.js";
import {
  addFrames,
  chunkRows,
  emptyFrameStats,
  type FrameRanges,
  type FrameStats,
  runsOf,
} from "../src/data/stats/frame-stats.js";
import { runCli } from "../src/index.js";

const home = mkdtempSync(join(tmpdir(), "insula-norm-stats-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

const vector = (n: number) => ({ dtype: "float32" as const, shape: [n], names: null });
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC",
  "base64",
);
const image = { dtype: "image" as const, shape: [1, 1, 3], names: ["height", "width", "channel"] };

/** A DROID-like dataset; `value(row, dim)` of a column that counts through all of them. */
async function droidSet(
  name: string,
  lengths: readonly number[],
  value: (row: number, dim: number) => number,
) {
  const dir = join(home, name);
  const writer = await createLeRobotDataset(dir, {
    fps: 15,
    robotType: "panda",
    commit: "finalize",
    features: {
      exterior_image_1_left: image,
      wrist_image_left: image,
      joint_position: vector(7),
      gripper_position: vector(1),
      actions: vector(8),
    },
  });
  let row = 0;
  for (const frames of lengths) {
    const column = (n: number, offset: number): NdArray<Float32Array> => ({
      data: Float32Array.from({ length: frames * n }, (_, i) =>
        value(row + Math.floor(i / n), offset + (i % n)),
      ),
      shape: [frames, n],
    });
    await writer.addEpisode({
      task: "work",
      frames,
      columns: { joint_position: column(7, 0), gripper_position: column(1, 7), actions: column(8, 8) },
      images: {
        exterior_image_1_left: new Array(frames).fill(PNG),
        wrist_image_left: new Array(frames).fill(PNG),
      },
    });
    row += frames;
  }
  await writer.finalize();
  return openLeRobotDataset(dir, { cameras: [] });
}

const options = (set: LeRobotDataset, more: Partial<NormStatsOptions> = {}): NormStatsOptions => ({
  robot: "droid",
  spec: robotSpec("droid"),
  actionHorizon: 4,
  deltaActions: null,
  episodes: new Set(set.episodes.map((e) => e.index)),
  ...more,
});

/** Mean, deviation and the number of rows, straight from the columns by the definition. */
async function direct(
  set: LeRobotDataset,
  { actionHorizon, deltaActions: runs, episodes, frames }: NormStatsOptions,
) {
  const [joints, gripper, actions] = await Promise.all(
    ["joint_position", "gripper_position", "actions"].map((name) => set.column(name)),
  );
  const rows: Record<string, number[][]> = { state: [], actions: [] };
  const delta = deltaActions(runs ? makeBoolMask(...runs) : undefined);
  for (const { index, from, to } of set.episodes) {
    if (!episodes.has(index)) continue;
    for (const [first, last] of frames?.get(index) ?? [[0, to - from]]) {
      for (let t = from + first!; t < from + last!; t++) {
        const state = [...joints!.data.slice(t * 7, t * 7 + 7), gripper!.data[t]].map(Number);
        rows["state"]!.push(state);
        const chunk = Array.from({ length: runs ? actionHorizon : 1 }, (_, h) => {
          const at = Math.min(t + h, to - 1);
          return [...actions!.data.slice(at * 8, at * 8 + 8)].map(Number);
        });
        const out = delta({
          state: { data: Float64Array.from(state), shape: [8] },
          actions: { data: Float64Array.from(chunk.flat()), shape: [chunk.length, 8] },
        })["actions"] as NdArray;
        for (let h = 0; h < chunk.length; h++)
          rows["actions"]!.push([...out.data.slice(h * 8, h * 8 + 8)].map(Number));
      }
    }
  }
  return Object.fromEntries(
    Object.entries(rows).map(([key, vectors]) => {
      const mean = Array.from(
        { length: 8 },
        (_, d) => vectors.reduce((a, v) => a + v[d]!, 0) / vectors.length,
      );
      const std = mean.map((m, d) =>
        Math.sqrt(vectors.reduce((a, v) => a + (v[d]! - m) ** 2, 0) / vectors.length),
      );
      return [key, { mean, std, count: vectors.length }];
    }),
  );
}

test("every kept row once, or its chunk of differences: as by definition, with both engines, whatever the batch", async () => {
  const lengths = [5, 1, 9, 3, 14, 2];
  const set = await droidSet("definition", lengths, (row, dim) => Math.sin(row * 1.7 + dim) * (1 + dim));
  await fc.assert(
    fc.asyncProperty(
      fc.subarray([0, 1, 2, 3, 4, 5], { minLength: 2 }),
      fc.constantFrom(null, [7, -1]),
      fc.integer({ min: 1, max: 12 }),
      fc.option(fc.array(fc.integer({ min: 0, max: 13 }), { minLength: 2, maxLength: 4 })),
      fc.integer({ min: 1, max: 40 }),
      async (episodes, deltas, actionHorizon, cuts, batchFrames) => {
        const frames = cuts && new Map([[4, ranges(cuts)]]);
        const given = options(set, {
          episodes: new Set(episodes),
          deltaActions: deltas,
          actionHorizon,
          batchFrames,
          ...(frames && { frames }),
        });
        const expected = await direct(set, given);
        const found = await datasetFrameStats(set, { ...given, engine: "hyparquet" });
        for (const key of ["state", "actions"] as const) {
          const { mean, std, count } = expected[key]!;
          expect(found[key].count).toBe(count);
          const stats = getStatistics(found[key]);
          expect(stats.mean).toBeAllclose(mean, { rtol: 1e-12, atol: 1e-14 });
          expect(stats.std).toBeAllclose(std, { rtol: 1e-11, atol: 1e-13 });
        }
        expect(bits(await datasetFrameStats(set, { ...given, engine: "duckdb" }))).toEqual(bits(found));
      },
    ),
    { numRuns: 12 },
  );
});

/** Everything counted, as bytes. */
const bits = ({ state, actions }: FrameStats): string[] =>
  [state, actions].map((s) => createHash("sha256").update(packRunningStats(s)).digest("hex"));

/** Ascending ranges that do not touch: `[a, b)` of every second pair. */
function ranges(cuts: readonly number[]): [number, number][] {
  const sorted = [...new Set(cuts)].sort((a, b) => a - b);
  const found: [number, number][] = [];
  for (let i = 0; i + 1 < sorted.length; i += 2) found.push([sorted[i]!, sorted[i + 1]!]);
  return found;
}

test("parts are neighbours of a fixed size; each row is in one", async () => {
  const set = await droidSet("parts", new Array(40).fill(2), (row, dim) => row + dim);
  const all = new Set(set.episodes.map((e) => e.index));
  const parts = partsOf(set, all, 4);
  expect(parts.map((p) => p.length)).toEqual([16, 16, 8]); // 8 batches of two episodes
  expect(parts.flat()).toEqual(set.episodes);
  const whole = await datasetFrameStats(set, options(set, { batchFrames: 4 }));
  expect(whole.state.count).toBe(80);
  expect(getStatistics(whole.state).mean[0]).toBeCloseTo(39.5, 10);
});

// Each thread loads the sources anew: seconds, from TypeScript.
test("threads count the same bits, and what goes wrong in one is told", async () => {
  const set = await droidSet("threads", new Array(30).fill(3), (row, dim) => Math.sin(row * 3.1 + dim) * 1e3);
  const frames = new Map([[7, [[1, 2]] as FrameRanges]]);
  const given = options(set, { batchFrames: 3, deltaActions: [7, -1], frames, engine: "hyparquet" });
  const alone = await datasetFrameStats(set, given);
  expect(alone.state.count).toBe(88);
  expect(bits(await datasetFrameStats(set, { ...given, threads: 2 }))).toEqual(bits(alone));
  rmSync(join(set.root, set.episodes[29]!.data.path));
  await expect(datasetFrameStats(set, { ...given, threads: 2 })).rejects.toMatchObject({
    code: "dataset/missing-file",
    message: expect.stringContaining(set.root),
  });
});

test("states of many frames are those of each", () => {
  for (const robot of ROBOTS) {
    const spec = robotSpec(robot);
    const widths: Record<string, number> = {
      joint_position: 7,
      gripper_position: 1,
      state: 8,
      "observation.state": 14,
    };
    const n = 5;
    const columns = spec.stateColumns.map((name): NdArray => {
      const width = widths[name]!;
      return {
        data: Float32Array.from({ length: n * width }, (_, i) => Math.sin(i) / 2 + 0.5),
        shape: [n, width],
      };
    });
    const many = statesOf(spec, columns);
    for (let i = 0; i < n; i++) {
      const sample: Sample = {};
      for (const [c, name] of spec.stateColumns.entries()) {
        const width = widths[name]!;
        sample[spec.stateKey(name)] = {
          data: columns[c]!.data.slice(i * width, (i + 1) * width),
          shape: [width],
        };
      }
      const one = spec.state(sample);
      const dim = one.data.length;
      expect(many.shape).toEqual([n, dim]);
      expect(many.data.slice(i * dim, (i + 1) * dim)).toEqual(one.data);
    }
  }
  const droid = robotSpec("droid");
  const wide = [new Float32Array(6), new Float32Array(1)].map((data) => ({ data, shape: [1, data.length] }));
  expect(() => statesOf(droid, wide)).toThrow("expected [7], found [6]");
});

test("chunks of a run repeat the last row of the episode, not of the run", () => {
  const column: NdArray = { data: Float32Array.of(1, 2, 3, 4, 5), shape: [5, 1] };
  expect([...chunkRows(column, { from: 1, to: 3, end: 4 }, 3).data]).toEqual([2, 3, 4, 3, 4, 4]);
  const episode = { index: 7, length: 4 } as never;
  const batch = { episodes: [episode], rows: [0], frames: 4, columns: {} };
  expect(
    runsOf(
      batch,
      new Map([
        [
          7,
          [
            [0, 1],
            [3, 9],
          ],
        ],
      ]),
      true,
    ),
  ).toEqual([
    { from: 0, to: 1, end: 4 },
    { from: 3, to: 4, end: 4 },
  ]);
});

test("a value that is not finite is named", () => {
  const columns: Record<string, NdArray> = {};
  for (const [name, n] of Object.entries({ joint_position: 7, gripper_position: 1, actions: 8 })) {
    columns[name] = { data: new Float32Array(7 * n), shape: [7, n] };
  }
  columns["actions"]!.data[5 * 8 + 3] = Number.NaN;
  const episodes = [
    { index: 4, length: 3 },
    { index: 9, length: 4 },
  ] as Episode[];
  const batch = { episodes, rows: [0, 3], frames: 7, columns };
  const where = {
    spec: robotSpec("droid"),
    actions: "actions",
    state: ["joint_position", "gripper_position"],
  };
  for (const deltas of [null, [7, -1]]) {
    expect(() =>
      addFrames(emptyFrameStats(), batch, where, { actionHorizon: 2, deltaActions: deltas }),
    ).toThrow("actions: NaN in episode 9, frame 2, dim 3; repair or leave out the episode");
  }
});

test("a mixture's datasets count by their weights, not by their frames", async () => {
  const few = await droidSet("few", [4], () => 1);
  const many = await droidSet("many", [40], () => 3);
  const stats = await Promise.all([few, many].map((set) => datasetFrameStats(set, options(set))));
  const half = normStatsOf(mixFrameStats(stats, [2, 2]));
  expect(half["state"]!.mean[0]).toBeCloseTo(2, 12);
  expect(half["actions"]!.std[7]).toBeCloseTo(1, 12);
  const tenth = normStatsOf(mixFrameStats(stats, [9, 1]));
  expect(tenth["state"]!.mean[0]).toBeCloseTo(1.2, 12);
  expect([tenth["state"]!.q01![0], tenth["state"]!.q99![0]]).toBeAllclose([1, 3], { atol: 2 / 8192 });
  const asTheyAre = normStatsOf(mixFrameStats(stats, [4, 40]));
  expect(asTheyAre["state"]!.mean[0]).toBeCloseTo((4 + 120) / 44, 12);
});

test("degenerate and heavy-tailed dims are named", async () => {
  const set = await droidSet("warned", [400], (row, dim) => {
    if (dim === 8) return 0.25; // the first action
    if (dim === 15) return row === 17 ? 500 : Math.sin(row); // the gripper's
    return Math.sin(row + dim);
  });
  const lines = normStatsWarnings(await datasetFrameStats(set, options(set)), robotSpec("droid"), "quantile");
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatch(/^actions\[0\] \(joint 1 \(rad\/s\)\): q99 - q01 = .* below 0.001$/);
  expect(lines[1]).toMatch(
    /^actions\[7\] \(gripper \(0 open, 1 closed\)\): heavy tail: min -1 … max 500 is 25\d times q01/,
  );
});

describeShared("insula norm-stats", () => {
  const dataset = sharedPath("data", "lerobot", "droid_subset_v30");
  const run = async (...words: string[]) => {
    const [out, err]: [string[], string[]] = [[], []];
    const code = await runCli(["norm-stats", "pi05_droid", "--dataset", dataset, ...words], {
      out: (line) => out.push(line),
      err: (line) => err.push(line),
    });
    return { code, out: out.join("\n"), err: err.join("\n") };
  };

  test("--upstream writes openpi's file", async () => {
    const out = join(home, "upstream");
    const { code } = await run("--upstream", "--out", out, "--batch-size", "32", "--set", "data.heldOut=0");
    expect(code).toBe(0);
    const golden = await readNormStats(sharedPath("golden", "norm_stats_droid", "norm_stats_h15_b32.json"));
    const found = await readNormStats(join(out, "droid"));
    for (const key of ["state", "actions"]) {
      for (const field of ["mean", "std", "q01", "q99"] as const) {
        expect(found[key]![field]!).toBeAllclose(golden[key]![field]!, { rtol: 1e-6, atol: 1e-7 });
      }
    }
    const few = await run("--upstream", "--out", out, "--batch-size", "1000");
    expect(few).toMatchObject({ code: 1, err: expect.stringContaining("at least 1000 frames, found 542") });
  });

  test("both engines write the same file; it goes where training reads, or says how it will", async () => {
    const assets = join(home, "assets");
    const first = await run("--set", `data.assetsDir=${assets}`, "--engine", "duckdb");
    expect(first.code).toBe(0);
    expect(first.out).toContain(`written to ${join(assets, "droid", "norm_stats.json")}`);
    expect(first.out).not.toContain("train with them");
    const other = join(home, "other");
    const second = await run("--out", other, "--engine", "hyparquet");
    expect(second.out).toContain(`train with them: --set data.assetsDir=${other}`);
    expect(await readNormStats(join(other, "droid"))).toEqual(await readNormStats(join(assets, "droid")));
  });
});
