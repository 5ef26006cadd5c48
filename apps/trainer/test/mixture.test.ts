/** @file What a run trains on: several datasets by weight, filtered frames, another frame rate. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { openLeRobotDataset } from "@insula/lerobot-dataset";
import { ensureSampleData } from "@insula/sample-data";
import { readNormStats } from "@insula/transforms/node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { configFrom } from "../src/commands/options.js";
import { getConfig } from "../src/configs/registry.js";
import { resolveConfig } from "../src/configs/resolve.js";
import type { DataConfig, RunConfig } from "../src/configs/types.js";
import { closeMembers, countedFrames, openMembers } from "../src/data/members.js";
import { makePipeline } from "../src/data/pipeline.js";
import { findData } from "../src/data/source.js";
import { openTrainData } from "../src/data/train-data.js";
import { trainFrames } from "../src/data/train-frames.js";
import { readMetrics } from "../src/metrics/jsonl.js";
import { runCli } from "../src/program.js";

const base = mkdtempSync(join(tmpdir(), "insula-mixture-"));
afterAll(() => rmSync(base, { recursive: true }));

let dataset = "";
/** The same episodes in another folder. */
let shifted = "";
beforeAll(async () => {
  ({ datasetDir: dataset } = await ensureSampleData(join(base, "data"), undefined, { episodes: 4 }));
  shifted = join(base, "other");
  cpSync(dataset, shifted, { recursive: true });
});

const config = (data: Partial<DataConfig>): RunConfig =>
  resolveConfig(getConfig("debug_pi05_ki"), {
    size: "tiny",
    overrides: { data: { heldOut: 0.25, ...data }, model: { imageSize: 28 } } as never,
  });

const open = async (data: Partial<DataConfig>, name: string) => {
  const run = config(data);
  const lines: string[] = [];
  const log = (line: string) => void lines.push(line);
  const source = await findData(run, { log });
  return { lines, data: await openTrainData(run, { source, runDir: join(base, name), log }) };
};

async function train(name: string, ...sets: string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await runCli(
    [
      ...["train", "debug_pi05_ki", "--log-dir", join(base, name), "--threads", "1", "--num-steps", "3"],
      ...["model.imageSize=28", "validation.interval=null", "data.heldOut=0.25", ...sets].flatMap((set) => [
        "--set",
        set,
      ]),
    ],
    { out: (l) => out.push(l), err: (l) => err.push(l) },
  );
  const rows =
    code === 0
      ? readMetrics(join(base, name, "metrics.jsonl")).map(
          ({ step_ms, data_ms, samples_per_s, time, ...row }) => row,
        )
      : [];
  return { code, rows, out: out.join("\n"), err: err.join("\n") };
}

// Two runs with sessions of their own.
test("a mixture draws its datasets by weight, holds out episodes of each, and trains alike on workers", {
  timeout: 180_000,
}, async () => {
  const mixture = [
    { repoId: dataset, weight: 3 },
    { repoId: shifted, weight: 1, filter: { episodes: [0, 1] } },
  ];
  const { data, lines } = await open({ mixture }, "open");
  try {
    expect(data.members.map((m) => m.split)).toEqual([
      { train: [0, 1, 2], heldOut: [3] },
      { train: [0, 1, 2], heldOut: [3] },
    ]);
    expect(lines.find((l) => l.startsWith("mixture     75.0 %"))).toContain(dataset);
    const pipelines = data.members.map((m) =>
      makePipeline({
        config: data.config,
        spec: m.spec,
        stats: data.stats,
        tokenizers: data.tokenizers,
        tasks: m.dataset.tasks,
      }),
    );
    const frames = await trainFrames(data.config, data.members, pipelines);
    const order = frames.order!(1, 0);
    const drawn = [...order].map((i) => frames.locate!(i));
    const share = drawn.filter((at) => at.dataset === dataset).length / drawn.length;
    expect(share).toBeCloseTo(0.75, 2);
    expect(new Set(drawn.filter((at) => at.dataset === shifted).map((at) => at.episode))).toEqual(
      new Set([0, 1]),
    );
    expect(drawn.some((at) => at.episode === 3)).toBe(false);
  } finally {
    await data.close();
  }
  const set = `data.mixture=${JSON.stringify(mixture)}`;
  const here = await train("here", set, "numWorkers=0");
  expect(here).toMatchObject({ code: 0, err: "" });
  expect((await train("workers", set, "numWorkers=1")).rows).toEqual(here.rows);
});

test("a filter decides what is trained on and counted; what it drops is told", async () => {
  const { data, lines } = await open(
    {
      repoId: dataset,
      filter: { taskPattern: "^", episodes: [0, 1, 3], idle: { minKept: 5, dropLast: 2, threshold: 1e-6 } },
    },
    "filter",
  );
  try {
    const { report } = data.members[0]!.frames;
    expect(report.episodes.kept).toBe(2); // 2 is filtered out, 3 is held out
    expect(lines.join("\n")).toContain(`filter      ${report.kept} of `);
    const batches = await data.openBatches(undefined);
    const { origins } = await batches.next();
    for (const origin of origins!) expect([0, 1]).toContain(origin.episode);
    await batches.close();
    // mean by hand, of the kept frames only
    const joints = (await data.dataset.column("joint_position")).data;
    let [sum, n] = [0, 0];
    for (const { episode, from, to } of data.members[0]!.frames.ranges) {
      const start = data.dataset.episodes[episode]!.from;
      for (let i = start + from; i < start + to; i++) [sum, n] = [sum + Number(joints[i * 7]), n + 1];
    }
    expect(n).toBe(report.kept);
    expect(data.stats["state"]!.mean[0]).toBeCloseTo(sum / n, 10);
  } finally {
    await data.close();
  }
});

test("frames by file; an episode that it does not name is left out", async () => {
  const rangesFile = join(base, "keep.json");
  writeFileSync(rangesFile, JSON.stringify({ 1: [[2, 7]], 3: [[0, 4]] }));
  const members = await openMembers(config({ filter: { rangesFile } }), [dataset], { numbersOnly: true });
  expect(members[0]!.frames.ranges).toEqual([{ episode: 1, from: 2, to: 7 }]);
  expect(countedFrames(members[0]!)).toEqual({ episodes: new Set([1]), frames: new Map([[1, [[2, 7]]]]) });
  await closeMembers(members);
  const missing = config({ filter: { rangesFile: join(base, "none.json") } });
  await expect(openMembers(missing, [dataset])).rejects.toMatchObject({ code: "data/no-filter-file" });
});

test("another frame rate: longer episodes, statistics and batches of the new frames", async () => {
  const native = await openLeRobotDataset(dataset, { cameras: [] });
  const { data } = await open({ repoId: dataset, fps: native.fps * 2 }, "fps");
  try {
    expect(data.dataset.fps).toBe(native.fps * 2);
    expect(data.dataset.episodes.map((e) => e.length)).toEqual(native.episodes.map((e) => e.length * 2 - 1));
    const batches = await data.openBatches(undefined);
    expect((await batches.next()).batch.actions.shape[1]).toBe(data.config.model.actionHorizon);
    await batches.close();
    const joints = (await data.dataset.column("joint_position")).data;
    const last = data.dataset.episodes[2]!.to;
    let sum = 0;
    for (let i = 0; i < last; i++) sum += Number(joints[i * 7]) / last;
    expect(data.stats["state"]!.mean[0]).toBeCloseTo(sum, 8);
  } finally {
    await data.close();
    await native.close();
  }
});

test("insula norm-stats counts a mixture by its weights, as training does", async () => {
  const mixture = [
    { repoId: dataset, weight: 1, filter: { episodes: [0] } },
    { repoId: shifted, weight: 4, filter: { episodes: [1, 2] } },
  ];
  const out = join(base, "assets");
  const [said, told]: [string[], string[]] = [[], []];
  const words = [
    "norm-stats",
    "debug_pi05_ki",
    "--out",
    out,
    "--set",
    `data.mixture=${JSON.stringify(mixture)}`,
  ];
  const code = await runCli([...words, "--set", "data.heldOut=0.25"], {
    out: (l) => said.push(l),
    err: (l) => told.push(l),
  });
  expect(code, told.join("\n")).toBe(0);
  expect(said.filter((l) => / frames of /.test(l))).toHaveLength(2);
  const written = await readNormStats(join(out, "droid"));
  const { data } = await open({ mixture }, "mixed-stats");
  try {
    expect(written).toEqual(data.stats);
    const joints = (await data.dataset.column("joint_position")).data;
    const mean = (episodes: readonly number[]) => {
      let [sum, n] = [0, 0];
      for (const e of episodes) {
        const { from, to } = data.dataset.episodes[e]!;
        for (let i = from; i < to; i++) [sum, n] = [sum + Number(joints[i * 7]), n + 1];
      }
      return sum / n;
    };
    expect(written["state"]!.mean[0]).toBeCloseTo(0.2 * mean([0]) + 0.8 * mean([1, 2]), 10);
  } finally {
    await data.close();
  }
  const upstream = await runCli([...words, "--upstream"], { out: () => {}, err: (l) => told.push(l) });
  expect(upstream).toBe(1);
  expect(told.at(-1)).toContain("counts one dataset, not a mixture");
});

test("what does not fit is said", async () => {
  const entry = { repoId: "a", weight: 1 };
  expect(() => config({ mixture: [entry], repoId: "b" })).toThrow(
    "data.mixture: expected no data.repoId (or --dataset) beside it, found 'b'",
  );
  expect(() => config({ mixture: [{ ...entry, weight: 0 }] })).toThrow("data.mixture.0.weight");
  expect(() => config({ mixture: [] })).toThrow("data.mixture");
  expect(() => config({ filter: { tasks: ["a"], taskPattern: "b" } })).toThrow(
    "give tasks or taskPattern, not both",
  );
  expect(() => config({ filter: { task: ["a"] } as never })).toThrow("data.filter.task");
  expect(() => config({ fps: 0 })).toThrow("data.fps");
  await expect(openMembers(config({ filter: { taskPattern: "(" } }), [dataset])).rejects.toThrow(
    'data.filter.taskPattern: expected a regular expression, found "("',
  );
  const other = config({ mixture: [{ ...entry, robot: "libero" }] });
  await expect(openMembers(other, [dataset])).rejects.toThrow("robot 'libero' has 7 action dims");
});

test("a configuration that names a mixture says how to give the datasets; --dataset replaces it", async () => {
  const told: string[] = [];
  const words = ["train", "pi05_droid_jointpos_polaris", "--log-dir", join(base, "polaris")];
  const code = await runCli([...words, "--size", "tiny"], { out: () => {}, err: (l) => told.push(l) });
  expect({ code, told }).toEqual({
    code: 1,
    told: [
      `error: data.mixture[0]: no LeRobot dataset 'droid': looked for meta/info.json in ${resolve("droid")}; ` +
        "give --dataset DIR, or owner/name on the Hugging Face hub; or name each by " +
        `--set 'data.mixture=[{"repoId":"DIR","weight":0.9},{"repoId":"DIR","weight":0.1}]' [data/no-dataset]`,
    ],
  });
  const declared = await configFrom("pi05_droid_jointpos_polaris", { set: [] });
  expect(declared).toMatchObject({ size: "full", data: { repoId: null } });
  expect(declared.data.mixture!.map((entry) => entry.weight)).toEqual([0.9, 0.1]);
  const alone = await configFrom("pi05_droid_jointpos_polaris", { dataset, set: [] });
  expect(alone.data).toMatchObject({ repoId: dataset, mixture: null });
  await expect(
    configFrom("debug_pi05_ki", { dataset, set: [`data.mixture=[{"repoId":"a","weight":1}]`] }),
  ).rejects.toThrow("expected no data.repoId (or --dataset) beside it");
});
