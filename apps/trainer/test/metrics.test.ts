import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { consoleLine, duration } from "../src/metrics/console.js";
import { lossCurvesSvg, niceTicks, smoothed } from "../src/metrics/curves.js";
import { histogramSum } from "../src/metrics/histogram.js";
import { openMetrics, readMetrics, readValidations } from "../src/metrics/jsonl.js";
import { encodePng } from "../src/metrics/png.js";
import { crc32c } from "../src/metrics/records.js";
import type { MetricsRow, ValidationRow } from "../src/metrics/row.js";
import { openEvents } from "../src/metrics/tensorboard.js";
import { readEvents } from "./read-events.js";

const dir = mkdtempSync(join(tmpdir(), "insula-metrics-"));
afterAll(() => rmSync(dir, { recursive: true }));

const row = (step: number, more: Partial<MetricsRow> = {}): MetricsRow => ({
  step,
  total: 8 / step + 1,
  fast_loss: 7 / step,
  action_loss: 1 / step + 1,
  fast_accuracy: 0.25,
  grad_norm: 1.5,
  grad_norm_vlm: 1.25,
  grad_norm_expert: 0.001,
  param_norm: 10,
  lr: 1e-3,
  samples_per_s: 8,
  step_ms: 500,
  data_ms: 3,
  time: 1_800_000_000 + step,
  ...more,
});

test("metrics.jsonl: resuming drops the rows that will be run again and a line cut short", () => {
  const path = join(dir, "metrics.jsonl");
  const first = openMetrics(path);
  for (let step = 1; step <= 7; step++) first.write(row(step));
  first.close();
  appendFileSync(path, '{"step": 8, "tot');
  const second = openMetrics(path, 5);
  second.write(row(6, { total: -1 }));
  second.close();
  const rows = readMetrics(path);
  expect(rows.map((r) => r.step)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(rows[4]).toEqual(row(5));
  expect(rows[5]!.total).toBe(-1);
});

test("metrics.jsonl: validations lie between the steps, are kept by a resume, and are no steps", () => {
  const path = join(dir, "mixed.jsonl");
  const validation = (step: number): ValidationRow => ({
    ...{ kind: "validation", step, val_weights: "ema", val_total: 1 / step, val_frames: 4 },
    ...{ val_metric: "total", val_best: 1 / step, val_best_step: step, val_ms: 5, time: 0 },
  });
  const first = openMetrics(path);
  for (let step = 1; step <= 4; step++) {
    first.write(row(step));
    if (step % 2 === 0) first.write(validation(step));
  }
  first.close();
  openMetrics(path, 3).close();
  expect(readMetrics(path).map((r) => r.step)).toEqual([1, 2, 3]);
  expect(readValidations(path)).toEqual([validation(2)]);
});

test("a histogram counts every finite value once, in a bucket that holds it", () => {
  fc.assert(
    fc.property(fc.array(fc.double(), { maxLength: 60 }), (values) => {
      const sum = histogramSum();
      sum.add(values.slice(0, 20));
      sum.add(Float64Array.from(values.slice(20)));
      const finite = values.filter(Number.isFinite);
      const found = sum.result();
      if (finite.length === 0) {
        expect(found).toBeUndefined();
        return;
      }
      const { limits, counts, num, min, max } = found!;
      expect([num, min, max]).toEqual([
        finite.length,
        ...[Math.min(...finite), Math.max(...finite)].map((v) => (v === 0 ? expect.closeTo(0) : v)),
      ]);
      expect(limits).toHaveLength(counts.length);
      expect([...limits].sort((a, b) => a - b)).toEqual(limits);
      let below = 0;
      for (const [i, limit] of limits.entries()) {
        below += counts[i]!;
        // A value on an edge may be counted on either side of it.
        const under = finite.filter((v) => v < limit - 1e-9 * Math.abs(limit)).length;
        const upTo = finite.filter((v) => v <= limit + 1e-9 * Math.abs(limit)).length;
        expect(below).toBeGreaterThanOrEqual(under);
        expect(below).toBeLessThanOrEqual(upTo);
      }
      expect(below).toBe(finite.length);
    }),
  );
});

test("CRC-32C of the standard's check string", () => {
  expect(crc32c(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa); // RFC 3720 B.4
});

/** The events of a file but the first, which says the version. */
function eventsAfterVersion(path: string): unknown[] {
  const [first, ...rest] = readEvents(path);
  expect(first).toEqual({ wall_time: 1_800_000_000, file_version: "brain.Event:2" });
  return rest;
}

test("TensorBoard's scalars read back", () => {
  const writer = openEvents(dir, { now: 1_800_000_000 });
  writer.write(300_000, 1_800_000_001.5, {
    scalars: { "loss/total": 1.5, "loss/none": undefined, lr: 1e-3 },
  });
  writer.write(2 ** 40, 1_800_000_002, { scalars: { "grad_norm/größe": Number.POSITIVE_INFINITY } });
  writer.close();
  const scalar = (tag: string, simple_value: number) => ({ tag, simple_value });
  expect(eventsAfterVersion(writer.path)).toEqual([
    {
      wall_time: 1_800_000_001.5,
      step: 300_000,
      summary: { value: [scalar("loss/total", 1.5), scalar("lr", Math.fround(1e-3))] },
    },
    {
      wall_time: 1_800_000_002,
      step: 2 ** 40,
      summary: { value: [scalar("grad_norm/größe", Number.POSITIVE_INFINITY)] },
    },
  ]);
});

test("TensorBoard's histograms read back", () => {
  const sum = histogramSum();
  sum.add([-3, 0.25, 0.25, 8]);
  const made = sum.result()!;
  const writer = openEvents(dir, { now: 1_800_000_000 });
  writer.write(5, 1_800_000_001, { histograms: { "gradients/vlm": made } });
  writer.close();
  const [{ summary }, ...more] = eventsAfterVersion(writer.path) as [{ summary: unknown }];
  expect(more).toEqual([]);
  expect(summary).toEqual({
    value: [
      {
        tag: "gradients/vlm",
        histo: {
          ...{ min: -3, max: 8, num: 4, sum: 5.5, sum_squares: 9 + 0.125 + 64 },
          ...{ bucket_limit: made.limits, bucket: made.counts },
        },
      },
    ],
  });
  // One bucket each for what was counted, wide ones between.
  expect(made.counts.filter((count) => count > 0)).toEqual([1, 2, 1]);
});

test("TensorBoard's images and texts read back", () => {
  const rgb = Uint8Array.from({ length: 5 * 2 * 3 }, (_, i) => 8 * i);
  const png = encodePng({ width: 5, height: 2, rgb });
  const writer = openEvents(dir, { now: 1_800_000_000 });
  writer.write(7, 1_800_000_001, {
    images: { "val/trajectory/1": { width: 5, height: 2, png } },
    texts: { config: "**tiny**, größer" },
  });
  writer.close();
  const [event] = eventsAfterVersion(writer.path);
  expect(event).toEqual({
    wall_time: 1_800_000_001,
    step: 7,
    summary: {
      value: [
        {
          tag: "val/trajectory/1",
          image: { height: 2, width: 5, colorspace: 3, encoded_image_string: new Uint8Array(png) },
        },
        {
          tag: "config",
          // DT_STRING, one of them
          tensor: { dtype: 7, tensor_shape: { dim: [{ size: 1 }] }, string_val: ["**tiny**, größer"] },
          metadata: { plugin_data: { plugin_name: "text" } },
        },
      ],
    },
  });
});

test("a resumed run tells TensorBoard which steps are taken again", () => {
  const writer = openEvents(dir, { now: 1_800_000_000, resumeStep: 300 });
  writer.close();
  // event.proto: SessionLog.START at step 301 hides what earlier files hold from there on.
  expect(eventsAfterVersion(writer.path)).toEqual([
    { wall_time: 1_800_000_000, step: 301, session_log: { status: 1 } },
  ]);
});

test("the console line holds means since the last one", () => {
  expect(consoleLine([row(1), row(2)], 200, 500)).toMatchInlineSnapshot(
    `"step   2/200  total 7.0000  fast_loss 5.2500  action_loss 1.7500  fast_acc 25.0%  grad 1.50  vlm 1.25  expert 1.0e-3  lr 1.00e-3  8.00 samples/s  ETA 1m39s"`,
  );
  const { fast_loss, fast_accuracy, grad_norm_vlm, ...actionOnly } = row(200);
  expect(consoleLine([actionOnly], 200, 500)).toMatchInlineSnapshot(
    `"step 200/200  total 1.0400  action_loss 1.0050  grad 1.50  expert 1.0e-3  lr 1.00e-3  8.00 samples/s  ETA 0s"`,
  );
  expect([12.4, 65, 3725].map(duration)).toEqual(["12s", "1m05s", "1h02m"]);
});

test("ticks are round, increasing and cover the range", () => {
  fc.assert(
    fc.property(
      fc.double({ min: -1e6, max: 1e6, noNaN: true }),
      fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
      (low, span) => {
        const ticks = niceTicks(low, low + span, 5);
        const slack = 1e-6 * (Math.abs(low) + span);
        expect(ticks[0]!).toBeLessThanOrEqual(low + slack);
        expect(ticks.at(-1)!).toBeGreaterThanOrEqual(low + span - slack);
        expect(ticks.length).toBeLessThanOrEqual(9);
      },
    ),
  );
});

test("smoothing keeps a constant and stays inside the range", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: -5, max: 5, noNaN: true }), { minLength: 1 }), (values) => {
      const smooth = smoothed(values);
      expect(smooth[0]).toBeCloseTo(values[0]!, 10);
      for (const v of smooth) {
        expect(v).toBeLessThanOrEqual(Math.max(...values) + 1e-9);
        expect(v).toBeGreaterThanOrEqual(Math.min(...values) - 1e-9);
      }
    }),
  );
});

test("the SVG has a raw and a smooth line per loss and survives odd runs", () => {
  const rows = Array.from({ length: 40 }, (_, i) => row(i + 1));
  const paths = (svg: string) => svg.match(/<path /g)?.length;
  const svg = lossCurvesSvg(rows, "a < b & c");
  expect(paths(svg)).toBe(4);
  expect(svg).toContain("a &lt; b &amp; c");
  expect(svg).not.toContain("NaN");
  const { fast_loss, action_loss, ...bare } = row(1);
  for (const odd of [[], [row(3)], [row(1, { fast_loss: Number.NaN }), row(2)], [bare]]) {
    expect(lossCurvesSvg(odd, "odd")).not.toContain("NaN");
  }
  expect(paths(lossCurvesSvg([bare], "only total"))).toBe(2);
});
