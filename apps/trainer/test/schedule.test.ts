import { describeShared, sharedJson } from "@insula/test-kit";
import fc from "fast-check";
import { expect, test } from "vitest";
import { learningRate } from "../src/schedule.js";

interface Golden {
  schedules: Record<
    string,
    {
      cfg: {
        warmup_steps: number;
        peak_lr: number;
        decay_steps?: number;
        decay_lr?: number;
        timescale?: number;
      };
      lr: Record<string, number>;
    }
  >;
}

describeShared("schedules equal optax", () => {
  const { schedules } = sharedJson<Golden>("golden", "common", "adamw.json");
  test.each(Object.entries(schedules))("%s", (_name, { cfg, lr }) => {
    const warm = { warmupSteps: cfg.warmup_steps, peakLr: cfg.peak_lr };
    const schedule =
      cfg.timescale === undefined
        ? ({ type: "cosine", ...warm, decaySteps: cfg.decay_steps!, decayLr: cfg.decay_lr! } as const)
        : ({ type: "rsqrt", ...warm, timescale: cfg.timescale } as const);
    const steps = Object.keys(lr).map(Number);
    // float32 there, float64 here: 1e-7 of the peak.
    expect(steps.map((step) => learningRate(schedule, step))).toBeAllclose(Object.values(lr), { rtol: 1e-7 });
  });
});

test("a cosine rises to its peak at the end of the warm-up, falls to its floor and stays", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 50 }),
      fc.integer({ min: 1, max: 200 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (warmupSteps, rest, floor) => {
        const schedule = {
          type: "cosine",
          warmupSteps,
          peakLr: 1,
          decaySteps: warmupSteps + rest,
          decayLr: floor,
        } as const;
        const lr = Array.from({ length: warmupSteps + rest + 10 }, (_, i) => learningRate(schedule, i));
        expect(Math.max(...lr)).toBeCloseTo(1, 12);
        expect(lr.indexOf(Math.max(...lr))).toBe(floor === 1 ? lr.indexOf(Math.max(...lr)) : warmupSteps);
        for (let i = 1; i < lr.length; i++) {
          if (i <= warmupSteps) expect(lr[i]!).toBeGreaterThan(lr[i - 1]!);
          else expect(lr[i]!).toBeLessThanOrEqual(lr[i - 1]! + 1e-15);
        }
        expect(lr.slice(-10).every((v) => Math.abs(v - floor) < 1e-12)).toBe(true);
      },
    ),
  );
});

test("a constant is one", () => {
  expect(learningRate({ type: "constant", lr: 3e-4 }, 12345)).toBe(3e-4);
});
