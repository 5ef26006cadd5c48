import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLeRobotDataset, type FeatureSpec, openLeRobotDataset } from "@insula/lerobot-dataset";
import type { NdArray, Sample } from "@insula/model-types";
import { describeShared, sharedPath } from "@insula/test-kit";
import { readNormStats } from "@insula/transforms/node";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { checkDataset } from "../src/data/checks.js";
import { datasetNormStats } from "../src/data/norm-stats.js";
import { robotSpec } from "../src/data/robots.js";
import { splitEpisodes } from "../src/data/split.js";
import { upstreamNormStats } from "../src/data/stats/upstream.js";

const base = mkdtempSync(join(tmpdir(), "insula-data-"));
afterAll(() => rmSync(base, { recursive: true }));

const vector = (n: number): FeatureSpec => ({ dtype: "float32", shape: [n], names: null });
const image: FeatureSpec = { dtype: "image", shape: [1, 1, 3], names: ["height", "width", "channel"] };
const DROID: Record<string, FeatureSpec> = {
  exterior_image_1_left: image,
  wrist_image_left: image,
  joint_position: vector(7),
  gripper_position: vector(1),
  actions: vector(8),
};

/** A small dataset on disk: `lengths` frames per episode, numbers from `value`. */
async function dataset(
  name: string,
  options: {
    features?: Record<string, FeatureSpec>;
    lengths?: number[];
    value?: (key: string, i: number) => number;
  } = {},
) {
  const { features = DROID, lengths = [5, 3], value = (_, i) => Math.sin(i) } = options;
  const dir = join(base, name);
  const writer = await createLeRobotDataset(dir, { fps: 5, robotType: "panda", features });
  let row = 0;
  for (const frames of lengths) {
    const columns: Record<string, NdArray> = {};
    const images: Record<string, Uint8Array[]> = {};
    for (const [key, { dtype, shape }] of Object.entries(features)) {
      if (dtype === "image") images[key] = Array.from({ length: frames }, () => PNG);
      else {
        const n = shape[0]!;
        columns[key] = {
          data: Float32Array.from({ length: frames * n }, (_, i) => value(key, row * n + i)),
          shape: [frames, n],
        };
      }
    }
    await writer.addEpisode({ task: "reach", frames, columns, images });
    row += frames;
  }
  await writer.finalize();
  return openLeRobotDataset(dir, { cameras: [] });
}

/** A 1×1 PNG. */
const PNG = Uint8Array.from(
  Buffer.from(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC",
    "base64",
  ),
);

const droid = robotSpec("droid");

describeShared("statistics of real DROID episodes", () => {
  test("count every row once and equal openpi's over the same rows", async () => {
    const real = await openLeRobotDataset(sharedPath("data", "lerobot", "droid_subset_v30"), { cameras: [] });
    const stats = await datasetNormStats(real, {
      robot: "droid",
      spec: droid,
      actionHorizon: 50,
      deltaActions: null,
      episodes: new Set(real.episodes.map((e) => e.index)),
    });
    const golden = await readNormStats(sharedPath("golden", "norm_stats_droid", "norm_stats.json"));
    for (const key of ["state", "actions"]) {
      const [s, g] = [stats[key]!, golden[key]!];
      expect(s.mean).toBeAllclose(g.mean, { rtol: 1e-6 });
      // E[x²] − E[x]² in float32 there.
      expect(s.std).toBeAllclose(g.std, { rtol: 1e-5 });
      // openpi's are left edges of bins, ours interpolate: neighbours in 614 rows lie up to 0.014 apart.
      expect(s.q01!).toBeAllclose(g.q01!, { atol: 2e-2 });
      expect(s.q99!).toBeAllclose(g.q99!, { atol: 2e-2 });
    }
    await real.close();
  });

  test("of openpi's script: whole chunks, the last 6 of 614 frames dropped, to its last digit but one", async () => {
    const golden = await readNormStats(sharedPath("golden", "norm_stats_droid", "norm_stats_h15_b32.json"));
    for (const engine of ["duckdb", "hyparquet"] as const) {
      const real = await openLeRobotDataset(sharedPath("data", "lerobot", "droid_subset_v30"), {
        cameras: [],
      });
      const stats = await upstreamNormStats(real, {
        robot: "droid",
        spec: droid,
        actionHorizon: 15,
        deltaActions: null,
        batchSize: 32,
        engine,
        episodes: new Set(real.episodes.map((e) => e.index)),
      });
      for (const key of ["state", "actions"]) {
        for (const field of ["mean", "std", "q01", "q99"] as const) {
          expect(stats[key]![field]!).toBeAllclose(golden[key]![field]!, { rtol: 1e-6, atol: 1e-7 });
        }
      }
      await real.close();
    }
  });
});

test("statistics count chunks with their end-of-episode repeats, differences first, chosen episodes only", async () => {
  const set = await dataset("stats");
  const horizon = 3;
  const stats = await datasetNormStats(set, {
    robot: "droid",
    spec: droid,
    actionHorizon: horizon,
    deltaActions: [7, -1],
    episodes: new Set([0]),
  });
  const actions = (await set.column("actions")).data;
  const joints = (await set.column("joint_position")).data;
  for (const d of [0, 6, 7]) {
    const values: number[] = [];
    for (let t = 0; t < 5; t++) {
      for (let h = 0; h < horizon; h++) {
        const action = Number(actions[Math.min(t + h, 4) * 8 + d]);
        values.push(d < 7 ? action - Number(joints[t * 7 + d]) : action);
      }
    }
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((a, v) => a + (v - mean) ** 2, 0) / values.length;
    expect(stats["actions"]!.mean[d]).toBeCloseTo(mean, 9);
    expect(stats["actions"]!.std[d]).toBeCloseTo(Math.sqrt(variance), 9);
  }
});

const without = (key: string) => Object.fromEntries(Object.entries(DROID).filter(([k]) => k !== key));

test.each([
  ["a missing column", { features: { ...without("joint_position"), joint_positions: vector(7) } }],
  ["actions of the wrong width", { features: { ...DROID, actions: vector(7) } }],
  ["an image of the wrong rank", { features: { ...DROID, wrist_image_left: vector(3) } }],
])("%s is named", async (name, options) => {
  const set = await dataset(name.replaceAll(" ", "-"), options);
  const error = await checkDataset(set, "droid", droid).then(
    () => undefined,
    (e: Error) => e.message.replaceAll(base, "BASE"),
  );
  expect(error).toMatchSnapshot();
});

test("NaN and infinity are named", async () => {
  const set = await dataset("not-finite");
  const with1 = (key: string, at: number, bad: number): typeof set => ({
    ...set,
    async column(name) {
      const { data, shape } = await set.column(name);
      const copy = Float32Array.from(data as Float32Array);
      if (name === key) copy[at] = bad;
      return { data: copy, shape };
    },
  });
  await expect(checkDataset(with1("actions", 43, Number.NaN), "droid", droid)).rejects.toThrow(
    "actions: NaN in episode 1, frame 0, dim 3",
  );
  await expect(checkDataset(with1("joint_position", 2, 1 / 0), "droid", droid)).rejects.toThrow(
    "joint_position: Infinity in episode 0, frame 0, dim 2",
  );
});

test("a sound dataset passes; a file that was not copied is named", async () => {
  const set = await dataset("sound");
  await checkDataset(set, "droid", droid);
  rmSync(join(base, "sound", "data", "chunk-000", "file-000.parquet"));
  await expect(checkDataset(set, "droid", droid)).rejects.toThrow(
    /sound: 1 files that the metadata names are missing, first data\/chunk-000\/file-000.parquet/,
  );
});

test("a split parts the episodes in order", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 300 }),
      fc.double({ min: 0, max: 0.5, noNaN: true }),
      (n, share) => {
        const episodes = Array.from({ length: n }, (_, index) => ({ index }));
        const { train, heldOut } = splitEpisodes(episodes, share);
        expect([...train, ...heldOut]).toEqual(episodes.map((e) => e.index));
        expect(train.length).toBeGreaterThan(0);
        expect(heldOut.length > 0).toBe(share > 0);
      },
    ),
  );
  expect(
    splitEpisodes(
      Array.from({ length: 64 }, (_, index) => ({ index })),
      0.125,
    ).train.length,
  ).toBe(56);
  expect(() => splitEpisodes([{ index: 0 }], 0.1)).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: 1 episodes, of which 1 are held out, leave none to train on; --set data.heldOut=0 trains on all]`,
  );
});

test("every camera of a specification is one that its transforms give, unmasked", () => {
  const pixels = { data: new Uint8Array(12), shape: [2, 2, 3] };
  const vectors: Record<string, number> = {
    joint_position: 7,
    gripper_position: 1,
    state: 8,
    "observation.state": 14,
  };
  for (const robot of ["droid", "libero", "aloha", "aloha_sim"] as const) {
    const spec = robotSpec(robot);
    expect(spec.actionNames).toHaveLength(spec.actionDim);
    const sample: Sample = {
      ...Object.fromEntries(spec.cameraColumns.map((key) => [key, pixels])),
      ...Object.fromEntries(
        spec.stateColumns.map((key) => [
          key,
          { data: new Float32Array(vectors[key]!), shape: [vectors[key]!] },
        ]),
      ),
      [spec.actionKey]: { data: new Float32Array(2 * spec.actionDim), shape: [2, spec.actionDim] },
      prompt: "go",
    };
    for (const type of ["pi05_ki", "pi0_fast"] as const) {
      const out = spec.inputs(type)(spec.repack(sample));
      const masks = Object.entries(out["image_mask"] as Record<string, boolean>);
      expect(masks.filter(([, real]) => real).map(([camera]) => camera)).toEqual(spec.cameras(type));
      expect(spec.outputs({ actions: out["actions"]! })["actions"]).toMatchObject({
        shape: [2, spec.actionDim],
      });
      expect(spec.state(spec.repack(sample))).toEqual(out["state"]);
      expect(spec.modelActions(sample[spec.actionKey] as NdArray)).toEqual(out["actions"]);
    }
  }
});

test("statistics of an ALOHA dataset are those of what training sees", async () => {
  const features = {
    "observation.images.top": image,
    "observation.state": vector(14),
    action: vector(14),
  };
  const set = await dataset("aloha", { features, lengths: [6], value: (_, i) => Math.sin(i) / 2 + 0.5 });
  const stats = await datasetNormStats(set, {
    robot: "droid",
    spec: robotSpec("aloha_sim"),
    actionHorizon: 4,
    deltaActions: null,
    episodes: new Set([0]),
  });
  const actions = (await set.column("action")).data;
  const state = (await set.column("observation.state")).data;
  const mean = (x: ArrayLike<unknown>, d: number) => {
    let sum = 0;
    for (let t = 0; t < 6; t++) sum += Number(x[t * 14 + d]) / 6;
    return sum;
  };
  // the second joint turns the other way; a command of 0…1 spans 2.1123 rad
  expect(stats["state"]!.mean[1]).toBeCloseTo(-mean(state, 1), 6);
  expect(stats["actions"]!.mean[8]).toBeCloseTo(-mean(actions, 8), 6);
  expect(stats["actions"]!.mean[6]).toBeCloseTo(mean(actions, 6) * 2.1123 - 1.1689, 6);
});
