/** The whole command on a small real dataset: train, resume, evaluate. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureSampleData } from "@insula/sample-data";
import { readNormStats } from "@insula/transforms/node";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { readCheckpoint } from "../src/checkpoint.js";
import { readMetrics } from "../src/metrics/jsonl.js";
import { runCli } from "../src/program.js";

const base = mkdtempSync(join(tmpdir(), "insula-e2e-"));
afterAll(() => rmSync(base, { recursive: true }));

let dataset = "";
beforeAll(async () => {
  ({ datasetDir: dataset } = await ensureSampleData(join(base, "data"), undefined, { episodes: 8 }));
});

async function insula(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCli(args, { out: (l) => out.push(l), err: (l) => err.push(l) });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

/** A model small enough for seconds, otherwise as `insula train` has it. */
const train = (dir: string, ...more: string[]) =>
  insula(
    ...["train", "debug_pi05_ki", "--dataset", dataset, "--log_dir", join(base, dir), "--threads", "1"],
    ...[
      "--set",
      "model.imageSize=28",
      "--set",
      'lrSchedule={"type":"constant","lr":1e-3}',
      "--set",
      "emaDecay=0.5",
    ],
    ...more,
  );

test("two steps, a checkpoint, resume to four: equal to four steps, images augmented", async () => {
  const augmented = ["--set", "data.augment=corrected"];
  expect(await train("halves", "--num_steps", "2", ...augmented)).toMatchObject({ code: 0, err: "" });
  const again = await train("halves", "--num_steps", "4", ...augmented);
  expect(again.code).toBe(1);
  expect(again.err).toMatch(/halves already holds a run. Use --overwrite or --resume/);
  const resumed = await train("halves", "--num_steps", "4", "--resume", ...augmented);
  expect(resumed).toMatchObject({ code: 0, err: "" });
  expect(resumed.out).toContain("resumed from step 2");
  expect((await train("four", "--num_steps", "4", ...augmented)).code).toBe(0);
  expect((await train("plain", "--num_steps", "1")).code).toBe(0);

  const rows = (dir: string) =>
    readMetrics(join(base, dir, "metrics.jsonl")).map(
      ({ step_ms, data_ms, samples_per_s, time, ...row }) => row,
    );
  expect(rows("halves")).toEqual(rows("four"));
  expect(rows("four").map((r) => r.step)).toEqual([1, 2, 3, 4]);
  expect(rows("plain")[0]!.total).not.toBe(rows("four")[0]!.total);
  const saved = async (dir: string) => (await readCheckpoint(join(base, dir, "checkpoints", "4"))).state;
  expect(await saved("halves")).toEqual(await saved("four"));
});

test("a checkpoint holds everything that evaluation needs, and evaluation reports physical units", async () => {
  const run = join(base, "evaluated");
  expect((await train("evaluated", "--num_steps", "2")).code).toBe(0);
  const checkpoint = join(run, "checkpoints", "2");
  expect(readdirSync(checkpoint).sort()).toEqual([
    "assets",
    "checksums.json",
    "config.json",
    "params",
    "tokenizers",
    "train_state",
    "version.json",
  ]);
  expect(await readNormStats(join(checkpoint, "assets", "droid"))).toEqual(
    await readNormStats(join(run, "assets", "droid")),
  );
  const { code, out, err } = await insula("evaluate", "--checkpoint", run, "--json", "--denoise-steps", "2");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const report = JSON.parse(out);
  expect(report).toMatchObject({ step: 2, dataset, episodes: [7] });
  expect(report.dims[0]).toBe("joint 1 (rad/s)");
  for (const key of ["trained", "untrained", "meanAction"]) {
    expect(report[key]).toHaveLength(8);
    for (const value of report[key]) expect(value).toBeGreaterThan(0);
  }
  // Every frame of the held-out episode is predicted exactly once.
  const info = JSON.parse(readFileSync(join(dataset, "meta", "info.json"), "utf8"));
  expect(report.actions).toBeLessThan(info.total_frames);
  expect(report.chunks).toBe(Math.ceil(report.actions / 10));
  // The same noise, the same answer.
  const again = await insula("evaluate", "--checkpoint", checkpoint, "--json", "--denoise-steps", "2");
  expect(JSON.parse(again.out).trained).toEqual(report.trained);
  const table = await insula(
    "evaluate",
    "--checkpoint",
    run,
    "--denoise-steps",
    "2",
    "--episodes",
    "0,3",
    "--ablations",
  );
  expect(table.out).toMatch(/trained +untrained +no images +other prompts +mean action/);
  expect(table.out).toMatch(/gripper \(0 open, 1 closed\) +\d\.\d{4} +\d\.\d{4}/);
  expect((await insula("evaluate", "--checkpoint", run, "--episodes", "0,99")).err).toMatch(
    /--episodes 0,99: '99' is not an episode of the dataset \(there are 0 to 7\)/,
  );
});

test("norm-stats writes what training computes", async () => {
  await train("stats", "--num_steps", "1");
  const { code, out } = await insula(
    ...["norm-stats", "debug_pi05_ki", "--dataset", dataset, "--out", join(base, "assets")],
  );
  expect(code).toBe(0);
  expect(out).toMatch(/joint 7 \(rad\/s\) +-?\d/);
  expect(await readNormStats(join(base, "assets", "droid"))).toEqual(
    await readNormStats(join(base, "stats", "assets", "droid")),
  );
  const given = await train("given", "--num_steps", "1", "--set", `data.assetsDir=${join(base, "assets")}`);
  expect(given.out).toContain(`norm stats  ${join(base, "assets", "droid")}`);
});

test("statistics that are elsewhere are refused with what to do, before any data are opened", async () => {
  const elsewhere = {
    "gs://openpi-assets/checkpoints/pi05_droid/assets":
      "error: config 'debug_pi05_ki' takes its normalisation statistics from " +
      "gs://openpi-assets/checkpoints/pi05_droid/assets/droid; download that folder and give --set data.assetsDir=DIR " +
      "with DIR/droid/norm_stats.json (`insula weights import` leaves them in assets/), or --set data.assetsDir=null " +
      "to compute them from the dataset [norm-stats/not-local]",
    [join(base, "nowhere")]:
      `error: no norm_stats.json in ${join(base, "nowhere", "droid")} (data.assetsDir and data.assetId) ` +
      "[norm-stats/not-found]",
  };
  for (const [assetsDir, error] of Object.entries(elsewhere)) {
    const set = ["--set", `data.assetsDir=${assetsDir}`];
    const trained = await train("elsewhere", ...set);
    expect(trained).toMatchObject({ code: 1, err: error });
    expect(trained.out).not.toContain("data        ");
    expect(existsSync(join(base, "elsewhere"))).toBe(false);
    const inspected = await insula(...["inspect", "tokens", "debug_pi05_ki", "--dataset", dataset, ...set]);
    expect(inspected).toMatchObject({ code: 1, err: error });
  }
});

test("norm-stats of a configuration whose statistics are elsewhere writes a folder here", async () => {
  const cwd = process.cwd();
  process.chdir(mkdtempSync(join(base, "cwd-")));
  onTestFinished(() => process.chdir(cwd));
  const args = ["norm-stats", "pi05_droid_finetune", "--size", "full", "--dataset", dataset];
  const { code, out } = await insula(...args);
  expect(code).toBe(0);
  expect(out).toContain("train with them: --set data.assetsDir=assets");
  expect(existsSync(join("assets", "droid", "norm_stats.json"))).toBe(true);
});

test.each(["pi0", "pi05", "pi0_fast"])("a %s model trains through the same pipeline", async (type) => {
  const config = { pi0: "debug", pi05: "debug_pi05", pi0_fast: "pi0_fast_droid" }[type]!;
  const args = ["train", config, "--size", "tiny", "--dataset", dataset, "--log-dir", join(base, type)];
  const { code, err } = await insula(
    ...args,
    ...["--num-train-steps", "1", "--batch-size", "1", "--set", "model.imageSize=28"],
  );
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const [row] = readMetrics(join(base, type, "metrics.jsonl"));
  expect(row!.fast_loss === undefined).toBe(type !== "pi0_fast");
  expect(row!.action_loss === undefined).toBe(type === "pi0_fast");
  const evaluated = await insula(
    "evaluate",
    "--checkpoint",
    join(base, type),
    "--stride",
    "60",
    "--denoise-steps",
    "1",
  );
  expect(evaluated).toMatchObject({ code: 0, err: "" });
});

test("the prompt of released π0.5 checkpoints can be trained with", async () => {
  const run = await train("pi05-prompt", "--num_steps", "1", "--set", "model.promptFormat=pi05");
  expect(run).toMatchObject({ code: 0, err: "" });
  expect(readMetrics(join(base, "pi05-prompt", "metrics.jsonl"))[0]!.fast_loss).toBeGreaterThan(0);
});

test("the artifact that a run used can be exported from its checkpoint", async () => {
  // Its checkpoints lie elsewhere; the run's folder leads to them.
  const disk = join(base, "disk");
  const { out } = await train("exported", "--num_steps", "1", "--checkpoint_base_dir", disk);
  expect(readdirSync(join(disk, "debug_pi05_ki", "default"))).toContain("1");
  const hash = /artifact +([0-9a-f]{64})/.exec(out)![1];
  const again = await insula(
    "export-artifact",
    "--checkpoint",
    join(base, "exported"),
    "--out",
    join(base, "artifact"),
  );
  expect(again).toMatchObject({ code: 0, err: "" });
  expect(again.out).toContain(hash);
});

test("bad data is refused by name before a step is taken", async () => {
  const wrong = await train("too-long", "--num_steps", "1", "--set", "model.maxTokenLen=12");
  expect(wrong.code).toBe(1);
  expect(wrong.err).toMatch(
    /episode \d+, frame \d+: tokenizer: the prompt alone has \d+ tokens, at most 12 fit/,
  );
  const strict = await train("strict", "--num_steps", "1", "--set", "model.maxTokenLen=22", "--strict");
  expect(strict.err).toMatch(
    /episode \d+, frame \d+: tokenizer: \d+ prompt and \d+ action tokens, at most 22 fit/,
  );
  const cut = await train("cut", "--num_steps", "1", "--set", "model.maxTokenLen=22");
  expect(cut.code).toBe(0);
  expect(cut.out).toMatch(/warning: \d+ samples had more tokens than maxTokenLen 22 and were cut/);
  // Sequences without their terminator teach the VLM nothing.
  expect(readMetrics(join(base, "cut", "metrics.jsonl"))[0]).toMatchObject({
    fast_loss: 0,
    grad_norm_vlm: 0,
  });
  const tokenizers = await train("tokenizers", "--num_steps", "1", "--tokenizers", join(base, "none"));
  expect(tokenizers.err).toMatch(/^error: no text tokenizer: looked for .*none\/text\/tokenizer.model/);
  const weights = await train("weights", "--num_steps", "1", "--weights", join(base, "none"));
  expect(weights.err).toMatch(/--weights .*none: not there/);
  const cloud = await train("cloud", "--num_steps", "1", "--weights", "gs://openpi-assets/x");
  expect(cloud.err).toMatch(/starts from gs:\/\/openpi-assets\/x; download it/);
});

test("a run can start from another's weights", async () => {
  expect((await train("source", "--num_steps", "1")).code).toBe(0);
  const { code } = await train(
    "child",
    "--num_steps",
    "1",
    "--weights",
    join(base, "source"),
    "--set",
    "lrSchedule.lr=0",
  );
  expect(code).toBe(0);
  const child = await readCheckpoint(join(base, "child", "checkpoints", "1"));
  const source = await readCheckpoint(join(base, "source", "checkpoints", "1"));
  expect(child.state.params).toEqual(source.state.ema);
});
