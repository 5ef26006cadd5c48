/** Validation on a small real dataset: what it says, that it says the same again, and that training does not notice. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NdArray } from "@insula/model-types";
import { ensureSampleData } from "@insula/sample-data";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readCheckpoint } from "../src/checkpoint.js";
import { getConfig } from "../src/configs/registry.js";
import { resolveConfig } from "../src/configs/resolve.js";
import { checkRunConfig } from "../src/configs/schema.js";
import type { RunConfig } from "../src/configs/types.js";
import { readMetrics, readValidations } from "../src/metrics/jsonl.js";
import type { Status } from "../src/metrics/status-line.js";
import { runCli } from "../src/program.js";
import { errorSum, relativeError } from "../src/validation/action-errors.js";
import { heldOutFrames, spread } from "../src/validation/held-out.js";
import { validationHook } from "../src/validation/hook.js";
import { validationMetric } from "../src/validation/metric.js";
import { readPredictions } from "../src/validation/predictions.js";

const base = mkdtempSync(join(tmpdir(), "insula-validation-"));
afterAll(() => rmSync(base, { recursive: true }));

let dataset = "";
beforeAll(async () => {
  ({ datasetDir: dataset } = await ensureSampleData(join(base, "data"), undefined, { episodes: 6 }));
});

async function train(dir: string, ...more: string[]) {
  const lines: string[] = [];
  const shown: (Status | "cleared")[] = [];
  const live = {
    update: (status: Status) => void shown.push(status),
    above: (line: string) => void lines.push(line),
    clear: () => void shown.push("cleared"),
  };
  const code = await runCli(
    [
      ...["train", "debug_pi05_ki", "--dataset", dataset, "--log-dir", join(base, dir), "--threads", "1"],
      ...["--set", "model.imageSize=28", "--set", "emaDecay=0.5", "--set", "saveInterval=2"],
      // One layer each, and a text too short for buckets: graphs that open quickly.
      ...["vlm", "expert", "siglip"].flatMap((stack) => ["--set", `model.${stack}.depth=1`]),
      ...["--set", "model.maxTokenLen=120", "--set", "histogramInterval=2"],
      ...["--set", 'lrSchedule={"type":"constant","lr":1e-3}', "--set", "validation.denoiseSteps=2"],
      ...["--set", "validation.sampledChunks=3", "--set", "validation.batches=2", "--set", "maxToKeep=null"],
      ...more,
    ],
    { out: live.above, err: live.above, live },
  );
  return { code, lines, shown, dir: join(base, dir) };
}

const every = (steps: number | null) => ["--set", `validation.interval=${steps}`];
const metrics = (dir: string) => join(dir, "metrics.jsonl");
const values = (dir: string) => readValidations(metrics(dir)).map(({ val_ms, time, ...row }) => row);

test("rows, line, pictures; the same after a resume, and no trace of it in the training", async () => {
  const straight = await train("straight", "--num-steps", "4", ...every(2));
  expect(straight.code, straight.lines.join("\n")).toBe(0);
  await train("halves", "--num-steps", "2", ...every(2));
  const halves = await train("halves", "--num-steps", "4", "--resume", ...every(2));
  const without = await train("without", "--num-steps", "4", ...every(null));

  const rows = values(straight.dir);
  expect(rows.map((row) => row.step)).toEqual([2, 4]);
  expect(Object.keys(rows[0]!).sort()).toEqual([
    ...["kind", "step", "val_action_error", "val_action_error_dims", "val_action_loss", "val_best"],
    ...["val_best_step", "val_chunks", "val_fast_accuracy", "val_fast_loss", "val_frames"],
    ...["val_mean_action_error_dims", "val_metric", "val_total", "val_weights"],
  ]);
  expect(rows[0]).toMatchObject({
    val_weights: "ema",
    val_frames: 4,
    val_chunks: 3,
    val_metric: "action_error",
  });
  const best = Math.min(...rows.map((row) => row.val_action_error!));
  expect(rows.at(-1)!.val_best).toBe(best);
  expect(rows.find((row) => row.val_action_error === best)!.step).toBe(rows.at(-1)!.val_best_step);
  // The yardstick does not depend on the weights; the rest does.
  expect(new Set(rows.map((row) => row.val_mean_action_error_dims!.join())).size).toBe(1);
  expect(new Set(rows.map((row) => row.val_total)).size).toBe(2);

  expect(values(halves.dir)).toEqual(rows);
  const losses = (dir: string) =>
    readMetrics(metrics(dir)).map(({ step_ms, data_ms, samples_per_s, time, ...row }) => row);
  expect(losses(without.dir)).toEqual(losses(straight.dir));
  expect(values(without.dir)).toEqual([]);
  const state = async (dir: string) => (await readCheckpoint(join(dir, "checkpoints", "4"))).state;
  expect(await state(without.dir)).toEqual(await state(straight.dir));
  expect(await state(halves.dir)).toEqual(await state(straight.dir));

  // The live line: before the first step, after each, while validating and saving, and gone in the end.
  expect(straight.shown[0]).toEqual({ step: 0, totalSteps: 4, activity: "preparing the first step" });
  const during = straight.shown.filter((status) => status !== "cleared");
  expect(during.flatMap(({ step, activity }) => (activity === "validating" ? [step] : []))).toEqual([2, 4]);
  expect(during.flatMap(({ step, activity }) => (activity === "saving" ? [step] : []))).toEqual([2, 4]);
  expect(during.at(-1)).toMatchObject({
    step: 4,
    rates: { total: expect.any(Number) },
    wallMs: expect.any(Number),
  });
  // Between the first step and the last lie a validation and a save: more than the steps themselves.
  const steps = readMetrics(metrics(straight.dir)).slice(1);
  expect(3 * during.at(-1)!.wallMs!).toBeGreaterThan(steps.reduce((sum, { step_ms }) => sum + step_ms, 0));
  expect(straight.shown.at(-1)).toBe("cleared");
  expect(straight.lines.filter((line) => line.startsWith("validation step 2  total "))).toHaveLength(1);
  const predictions = (await readPredictions(straight.dir))!;
  expect(predictions).toMatchObject({ step: 4, chunks: [{ episode: 5 }, { episode: 5 }, { episode: 5 }] });
  const [first] = predictions.chunks;
  expect([first!.sampled.length, first!.sampled[0]!.length]).toEqual([10, 8]);
  const files = readdirSync(join(straight.dir, "validation"));
  for (const { file } of first!.cameras) expect(files).toContain(file);

  // What TensorBoard got: scalars per dim, histograms every other step, pictures, the configuration.
  const [events] = readdirSync(straight.dir).filter((name) => name.startsWith("events.out"));
  const text = readFileSync(join(straight.dir, events!)).toString("latin1");
  const times = (tag: string) => text.split(tag).length - 1;
  expect(times("val/action_error/joint 1 (rad/s)")).toBe(2);
  expect(times("gradients/expert")).toBe(2);
  expect(times("gradients/PaliGemma/llm/embedder/input_embedding")).toBe(2);
  expect([times("val/trajectory/1"), times("\u0089PNG"), times("```json")]).toEqual([2, 6, 1]);
}, 60_000);

test("as many episodes as asked for, in as many denoising steps", async () => {
  // Three of the six episodes are held out; at learning rate 0 only the sampler tells runs apart.
  const once = async (dir: string, episodes: number | null, denoiseSteps: number) => {
    const set = {
      "data.heldOut": 0.5,
      "validation.episodes": episodes,
      "validation.denoiseSteps": denoiseSteps,
    };
    const run = await train(
      dir,
      ...["--num-steps", "1", ...every(1), "--set", 'lrSchedule={"type":"constant","lr":0}'],
      ...Object.entries(set).flatMap(([path, value]) => ["--set", `${path}=${value}`]),
    );
    expect(run.code, run.lines.join("\n")).toBe(0);
    return (await readPredictions(run.dir))!.chunks;
  };
  const all = await once("all-episodes", null, 2);
  const one = await once("one-episode", 1, 2);
  const fewer = await once("one-step", 1, 1);
  const episodesOf = (chunks: typeof all) => new Set(chunks.map(({ episode }) => episode)).size;
  expect([all, one, fewer].map(episodesOf)).toEqual([3, 1, 1]);
  const [two, single] = [one, fewer].map((chunks) => chunks.map(({ sampled: _, ...seen }) => seen));
  expect(single).toEqual(two);
  for (const [i, { sampled }] of fewer.entries()) expect(sampled).not.toEqual(one[i]!.sampled);
}, 60_000);

test("errors agree with those of `insula evaluate`", async () => {
  // One step at learning rate 0: the weights are the initial ones, which both can sample from.
  const zero = ["--set", 'lrSchedule={"type":"constant","lr":0}', "--set", "validation.sampledChunks=1000"];
  const run = await train("compared", "--num-steps", "1", ...every(1), ...zero);
  const [row] = readValidations(metrics(run.dir));
  const out: string[] = [];
  await runCli(
    ["evaluate", "--checkpoint", run.dir, "--json", "--no-untrained", "--stride", "1", "--threads", "1"],
    { out: (line) => out.push(line), err: () => {} },
  );
  const report = JSON.parse(out.join("\n"));
  // `evaluate` also has the frames at the end of an episode, with fewer steps ahead, and other noise.
  expect(report.chunks).toBe(row!.val_chunks! + 9);
  for (const [d, error] of row!.val_mean_action_error_dims!.entries()) {
    expect(error / report.meanAction[d]).toBeGreaterThan(0.8);
    expect(error / report.meanAction[d]).toBeLessThan(1.25);
  }
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  expect(mean(row!.val_action_error_dims!) / mean(report.trained)).toBeGreaterThan(0.8);
  expect(mean(row!.val_action_error_dims!) / mean(report.trained)).toBeLessThan(1.25);
}, 60_000);

test("what cannot be validated is said before training, or is none", async () => {
  const none = await train("nothing-held-out", "--num-steps", "1", ...every(1), "--set", "data.heldOut=0");
  expect(none.lines).toContain("validation  none: no episode is held out (data.heldOut)");
  expect(values(none.dir)).toEqual([]);
  const wrong = await train("no-chunks", "--num-steps", "1", "--set", "validation.sampledChunks=0");
  expect(wrong.lines.join("\n")).toContain(
    "validation.metric: action_error needs validation.sampledChunks above 0",
  );
  const fine = await train(
    ...(["losses-only", "--num-steps", "1", ...every(1), "--set", "validation.sampledChunks=0"] as const),
    ...["--set", "validation.metric=fast_loss"],
  );
  const [row] = values(fine.dir);
  expect(row!.val_best).toBe(row!.val_fast_loss);
  expect(row!.val_action_error).toBeUndefined();
});

test("a validation that fails is told and the run goes on; one that is aborted leaves nothing", async () => {
  const lines: string[] = [];
  const rows: unknown[] = [];
  const done = (step: number) => ({
    ...{ row: { step }, best: undefined, validated: () => rows.push("validated") },
    recorder: {
      ...{ log: (line: string) => lines.push(line), validation: (row: unknown) => rows.push(row) },
      events: { write: () => rows.push("events") },
    },
  });
  const config = resolveConfig(getConfig("debug_pi05_ki"), {
    ...{ size: "tiny", overrides: { validation: { interval: 2 } } },
  } as never);
  const answers = [() => Promise.reject(new Error("episode 7: damaged")), async () => undefined];
  const validator = { run: () => answers.shift()!(), release: async () => {} };
  const hook = validationHook({ config, metric: "total", validator, dims: [], runDir: base });
  for (const step of [1, 2, 3, 4]) await hook(done(step) as never);
  expect(lines).toEqual(["warning: step 2: validation failed, training goes on: episode 7: damaged"]);
  expect(rows).toEqual([]);
  expect(answers).toEqual([]);
});

test("frames are spread over all held-out episodes and begin where a whole chunk is ahead", () => {
  const episodes = fc
    .array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 })
    .map((lengths) => {
      let from = 100;
      return lengths.map((length) => ({ from, to: (from += length) }));
    });
  fc.assert(
    fc.property(
      episodes,
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 8 }),
      fc.nat(20),
      fc.integer({ min: 1, max: 30 }),
      (all, batches, batchSize, sampledChunks, horizon) => {
        const options = { episodes: null, batches, batchSize, sampledChunks, horizon };
        const { losses, chunks } = heldOutFrames(all, options);
        expect(losses.length % batchSize).toBe(0);
        expect(losses.length).toBeLessThanOrEqual(batches * batchSize);
        expect(losses.length).toBeGreaterThan(0);
        expect(chunks.length).toBeLessThanOrEqual(sampledChunks);
        expect(new Set(chunks).size).toBe(chunks.length);
        for (const frame of [...losses, ...chunks]) {
          expect(all.some(({ from, to }) => frame >= from && frame < to)).toBe(true);
        }
        for (const frame of chunks) {
          const { from, to } = all.find((e) => frame >= e.from && frame < e.to)!;
          expect(frame === from || frame + horizon <= to).toBe(true);
        }
        expect(heldOutFrames(all, options)).toEqual({ losses, chunks });
      },
    ),
  );
  expect(spread([1, 2, 3, 4, 5, 6, 7, 8, 9], 3)).toEqual([2, 5, 8]);
});

test("errors count only steps before the episode's end, and units fall out of the ratio", () => {
  const chunk = (...rows: number[][]): NdArray => ({
    data: Float64Array.from(rows.flat()),
    shape: [rows.length, 2],
  });
  const sum = errorSum(2);
  sum.add(chunk([1, 10], [2, 20], [99, 99]), { actions: chunk([0, 0], [0, 0], [0, 0]), steps: 2 });
  sum.add(chunk([3, 0], [9, 9], [9, 9]), { actions: chunk([0, 0], [9, 9], [9, 9]), steps: 1 });
  expect([sum.perDim(), sum.chunks(), sum.actions()]).toEqual([[2, 10], 2, 3]);
  expect(relativeError([2, 10], [4, 10])).toBe(0.75);
  expect(relativeError([2, 10], [4, 0])).toBe(0.5);
});

test("the metric suits the run", () => {
  const config = (name: string, overrides: object = {}): RunConfig =>
    resolveConfig(getConfig(name), { size: "tiny", overrides: overrides as never });
  expect(validationMetric(config("debug_pi05_ki"))).toBe("action_error");
  expect(validationMetric(config("debug_pi05_ki", { train: "vlm" }))).toBe("total");
  expect(() => validationMetric(config("debug", { validation: { metric: "fast_loss" } }))).toThrow(
    "config: validation.metric: this run has no fast_loss; expected one of action_error, total, action_loss",
  );
});

test("intervals follow a short run; a checkpoint from before has none", () => {
  const run = resolveConfig(getConfig("pi05_droid_ki"), { size: "tiny", overrides: { numTrainSteps: 200 } });
  expect(run).toMatchObject({
    histogramInterval: 20,
    validation: { interval: 50, batches: 2, sampledChunks: 8 },
  });
  const { validation, histogramInterval, ...before } = run;
  expect(checkRunConfig(before)).toMatchObject({ histogramInterval: null, validation: { interval: null } });
});
