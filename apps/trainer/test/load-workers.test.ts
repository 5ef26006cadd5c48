/** @file Training with worker threads: the numbers of a run do not depend on who reads its samples. */
import { cpSync, mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureSampleData } from "@insula/sample-data";
import { describeShared, sharedPath } from "@insula/test-kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readMetrics } from "../src/metrics/jsonl.js";
import { runCli } from "../src/program.js";

const base = mkdtempSync(join(tmpdir(), "insula-workers-"));
afterAll(() => rmSync(base, { recursive: true }));

let dataset = "";
beforeAll(async () => {
  ({ datasetDir: dataset } = await ensureSampleData(join(base, "data"), undefined, { episodes: 4 }));
});

/** A short run of a few thousand parameters, images augmented. */
async function run(name: string, steps: number, from: string, ...sets: string[]) {
  const err: string[] = [];
  const out: string[] = [];
  const code = await runCli(
    [
      ...["train", "debug_pi05_ki", "--dataset", from, "--log-dir", join(base, name), "--threads", "1"],
      ...["--num-steps", String(steps), ...(sets.includes("--resume") ? ["--resume"] : [])],
      ...["model.imageSize=28", "data.augment=corrected", "validation.interval=null"]
        .concat('lrSchedule={"type":"constant","lr":1e-3}', sets)
        .filter((set) => set !== "--resume")
        .flatMap((set) => ["--set", set]),
    ],
    { out: (l) => out.push(l), err: (l) => err.push(l) },
  );
  return { code, err: err.join("\n"), out: out.join("\n"), rows: code === 0 ? rowsOf(name) : [] };
}

const rowsOf = (name: string) =>
  readMetrics(join(base, name, "metrics.jsonl")).map(
    ({ step_ms, data_ms, samples_per_s, time, ...row }) => row,
  );

// Whole runs, each with sessions of its own: longer than most tests.
test("0, 1 and 3 workers and a resume give the same rows, bit for bit", async () => {
  const here = await run("w0", 4, dataset, "numWorkers=0");
  expect(here).toMatchObject({ code: 0, err: "" });
  expect(here.rows).toHaveLength(4);
  expect((await run("w1", 4, dataset, "numWorkers=1")).rows).toEqual(here.rows);
  await run("w3", 2, dataset, "numWorkers=3");
  expect((await run("w3", 4, dataset, "numWorkers=0", "--resume")).rows).toEqual(here.rows);
}, 180_000);

test.each(["none", "corrected"])(
  "so they do in later epochs, images augmented: %s",
  async (augment) => {
    // One episode in batches of 32: five steps are more than an epoch. Pictures large enough to be moved, not copied.
    const sets = [
      "batchSize=32",
      'data.filter={"episodes":[0]}',
      `data.augment=${augment}`,
      "model.imageSize=56",
    ];
    const here = await run(`epochs-${augment}-0`, 5, dataset, ...sets, "numWorkers=0");
    expect(here).toMatchObject({ code: 0, err: "" });
    const there = await run(`epochs-${augment}-1`, 5, dataset, ...sets, "numWorkers=1");
    expect(there).toMatchObject({ code: 0, err: "" });
    expect(there.rows).toEqual(here.rows);
  },
  180_000,
);

describeShared("a video cut short", () => {
  let root = "";
  let video = "";
  beforeAll(() => {
    root = join(base, "cut");
    cpSync(sharedPath("data/lerobot/droid_subset_v21"), root, { recursive: true });
    video = join(root, "videos/chunk-000/wrist_image_left/episode_000002.mp4");
    truncateSync(video, 5000);
  });

  test("ends the run by name, or is skipped, counted and told, with workers as without", async () => {
    const skip = ["batchSize=16", "data.onCorrupt=skip"];
    const straight = await run("straight", 3, root, "numWorkers=2", ...skip);
    expect(straight).toMatchObject({ code: 0, err: "" });
    const counts = straight.rows.map((row) => row.skipped_samples ?? 0);
    expect(counts[2]).toBeGreaterThan(counts[1]!);
    expect(straight.out).toMatch(/warning: episode 2, frame \d+ is replaced by another: /);
    expect(straight.out).toContain(
      `warning: ${counts[2]} samples could not be read and were replaced by others`,
    );

    await run("halves", 2, root, "numWorkers=0", ...skip);
    const fatal = await run("halves", 3, root, "numWorkers=0", "batchSize=16", "--resume");
    expect(fatal.code).toBe(1);
    expect(fatal.err).toMatch(/^error: episode 2, frame \d+: /);
    expect(fatal.err).toContain(video);
    // Whoever met the fault in the middle of a run goes on with the frames that are left.
    expect((await run("halves", 3, root, "numWorkers=0", ...skip, "--resume")).rows).toEqual(straight.rows);
  }, 180_000);
});
