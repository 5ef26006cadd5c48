import type { NdArray } from "@insula/model-types";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  createRunningStats,
  type ExactStats,
  findHeavyTails,
  getStatistics,
  mergeRunningStats,
  scaleRunningStats,
  updateRunningStats,
} from "../src/index.js";

const column = (values: readonly number[]): NdArray => ({
  data: Float64Array.from(values),
  shape: [values.length, 1],
});

function statsOf(values: readonly number[]): ExactStats {
  const stats = createRunningStats();
  updateRunningStats(stats, column(values));
  return stats;
}

const tails = (values: readonly number[], maxRatio?: number) =>
  findHeavyTails(
    { actions: getStatistics(statsOf(values), { minMax: true }) },
    { names: { actions: ["gripper"] }, ...(maxRatio === undefined ? {} : { maxRatio }) },
  );

test("one wild value in a thousand is a heavy tail, a uniform or a normal dim is none", () => {
  const even = Array.from({ length: 1000 }, (_, i) => i / 999);
  expect(tails(even)).toEqual([]);
  const normal = even.map((u) => Math.sqrt(-2 * Math.log(1 - u * 0.999999)) * Math.cos(400 * u));
  expect(tails(normal)).toEqual([]);
  const [found] = tails([...even.slice(0, -1), 50]);
  expect(found).toMatchObject({ key: "actions", dim: 0, name: "gripper", limit: 8 });
  expect(found!.ratio).toBeCloseTo(51, 0);
  // (50 - q01) / (q99 - q01) · 2 - 1
  expect(found!.reach).toBeCloseTo(101, -1);
  expect(found!.message).toMatch(
    /^actions\[0\] \(gripper\): heavy tail: min 0 … max 50 is 5\d times q01 0.01\d* … q99 0.99; normalised values reach ±10\d$/,
  );
  expect(tails([...even.slice(0, -1), 50], 60)).toEqual([]);
});

test("a constant dim is left to findDegenerate; statistics without extremes are refused", () => {
  expect(tails([2, 2, 2])).toEqual([]);
  expect(() => findHeavyTails({ state: getStatistics(statsOf([1, 2])) })).toThrow(
    "state: expected q01, q99, min and max",
  );
});

test("scaling by a whole number counts every vector that often", () => {
  const values = fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 2, maxLength: 60 });
  fc.assert(
    fc.property(values, fc.integer({ min: 1, max: 5 }), (list, times) => {
      const scaled = scaleRunningStats(statsOf(list), times);
      const repeated = statsOf(new Array(times).fill(list).flat());
      expect(scaled.count).toBe(repeated.count);
      const [a, b] = [getStatistics(scaled), getStatistics(repeated)];
      expect(a.mean).toBeAllclose(b.mean, { rtol: 1e-12, atol: 1e-12 });
      expect(a.std).toBeAllclose(b.std, { rtol: 1e-9, atol: 1e-9 });
      expect([a.q01, a.q99]).toEqual([b.q01, b.q99]);
    }),
    { numRuns: 40 },
  );
});

test("shares of a merge follow the factors, fractions too", () => {
  const [low, high] = [statsOf([0, 0, 0, 0]), statsOf([1, 1])];
  const merged = mergeRunningStats(scaleRunningStats(low, 0.5), scaleRunningStats(high, 3));
  expect(merged.count).toBe(8);
  expect(getStatistics(merged).mean[0]).toBeCloseTo(0.75, 14);
  expect(getStatistics(merged).q99![0]).toBe(1);
  expect(low.count).toBe(4);
  for (const bad of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => scaleRunningStats(low, bad)).toThrow("expected a finite factor above 0");
  }
});
