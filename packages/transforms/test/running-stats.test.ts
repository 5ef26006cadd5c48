import type { NdArray } from "@insula/model-types";
import { describeShared, sharedJson, sharedTensors } from "@insula/test-kit";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  createRunningStats,
  type ExactStats,
  getStatistics,
  mergeRunningStats,
  packedLength,
  packRunningStats,
  unpackRunningStats,
  updateRunningStats,
} from "../src/index.js";

const matrix = (values: number[], width: number): NdArray<Float64Array> => ({
  data: Float64Array.from(values),
  shape: [values.length / width, width],
});

describeShared("the reference's RunningStats", () => {
  const golden = sharedTensors("golden", "common", "normalize", "normalize.safetensors");
  const index = sharedJson<
    Record<string, { count: number; dtype: string; hist_total: number[]; batch_shapes: number[][] }>
  >("golden", "common", "normalize", "normalize.json");
  const sequences = Object.entries(index).filter(([, v]) => Array.isArray(v.batch_shapes));
  const batches = (name: string) =>
    sequences.find(([n]) => n === name)![1].batch_shapes.map((_, i) => golden.get(`${name}/batch${i}`)!);

  test.each(sequences.map(([name]) => name))("%s, upstream mode", (name) => {
    const { count, dtype, hist_total } = index[name]!;
    const stats = createRunningStats({ upstream: true });
    for (const [i, batch] of batches(name).entries()) {
      updateRunningStats(stats, batch);
      if (!golden.has(`${name}/after${i}/mean`)) continue;
      const found = getStatistics(stats);
      for (const field of ["mean", "std", "q01", "q99"] as const) {
        const tolerance = dtype === "float32" ? { rtol: 1e-7 } : { rtol: 1e-12, atol: 1e-13 };
        expect(found[field]!, `${field} after ${i}`).toBeAllclose(
          golden.get(`${name}/after${i}/${field}`)!.data,
          tolerance,
        );
      }
    }
    expect(stats.count).toBe(count);
    for (const [d, histogram] of stats.histograms.entries()) {
      expect(histogram.reduce((a, b) => a + b)).toBe(hist_total[d]);
      const bins = [...histogram.keys()].filter((i) => histogram[i]! > 0);
      expect(bins).toBeAllclose(golden.get(`${name}/final_hist_nonzero_idx/${d}`)!.data);
      expect(bins.map((i) => histogram[i]!)).toBeAllclose(
        golden.get(`${name}/final_hist_nonzero_val/${d}`)!.data,
      );
    }
  });

  test.each(sequences.map(([name]) => name))("%s, exact mode", (name) => {
    const stats = createRunningStats();
    const columns: number[][] = [];
    for (const batch of batches(name)) {
      updateRunningStats(stats, batch);
      const width = batch.shape.at(-1)!;
      for (let i = 0; i < batch.data.length; i++) (columns[i % width] ??= []).push(Number(batch.data[i]));
    }
    const found = getStatistics(stats);
    for (const [d, column] of columns.entries()) {
      const expected = exactStatistics(column);
      expect([found.mean[d], found.std[d]]).toBeAllclose([expected.mean, expected.std], {
        rtol: 1e-12,
        atol: 1e-9,
      });
      const bin = 2 ** stats.histograms[d]!.exponent;
      expect(bin).toBeLessThanOrEqual(Math.max((stats.max[d]! - stats.min[d]!) / 8190, 2 ** -40));
      expect([found.q01![d], found.q99![d]]).toBeAllclose([expected.q01, expected.q99], { atol: bin });
    }
  });
});

/** The non-empty bins, so that a comparison does not walk 16384 numbers. */
const sparse = (stats: ExactStats) =>
  stats.histograms.map(({ exponent, first, counts }) => {
    const bins: [number, number][] = [];
    counts.forEach((n, i) => {
      if (n > 0) bins.push([i, n]);
    });
    return { exponent, first, bins };
  });

/** numpy's definitions, two passes. */
function exactStatistics(column: readonly number[]) {
  const n = column.length;
  const mean = column.reduce((a, b) => a + b, 0) / n;
  const std = Math.sqrt(column.reduce((a, b) => a + (b - mean) ** 2, 0) / n);
  const sorted = [...column].sort((a, b) => a - b);
  const quantile = (q: number) => {
    const rank = q * (n - 1);
    const low = sorted[Math.floor(rank)]!;
    return low + (sorted[Math.ceil(rank)]! - low) * (rank % 1);
  };
  return { mean, std, q01: quantile(0.01), q99: quantile(0.99) };
}

// openpi: shared/normalize_test.py
test("mean and std, one vector at a time", () => {
  const rows = Array.from({ length: 12 }, (_, i) => i);
  const stats = createRunningStats();
  for (let i = 0; i < 12; i += 3) updateRunningStats(stats, matrix(rows.slice(i, i + 3), 3));
  const { mean, std } = getStatistics(stats);
  expect(mean).toBeAllclose([4.5, 5.5, 6.5], { atol: 1e-14 });
  expect(std).toBeAllclose(new Array(3).fill(Math.sqrt(11.25)), { atol: 1e-14 });
});

test("several batch axes", () => {
  const data = Float64Array.from({ length: 2 * 3 * 4 }, (_, i) => Math.sin(i));
  const [a, b] = [createRunningStats(), createRunningStats()];
  updateRunningStats(a, { data, shape: [2, 3, 4] });
  updateRunningStats(b, { data, shape: [6, 4] });
  expect(sparse(a)).toEqual(sparse(b));
  expect(getStatistics(a)).toEqual(getStatistics(b));
});

const values = fc.array(
  fc.oneof(
    fc.double({ min: -1e6, max: 1e6, noNaN: true }),
    fc.double({ min: -1e-9, max: 1e-9, noNaN: true }),
    fc.constantFrom(0, 1, 1e-300, 123456.75),
  ),
  { minLength: 2, maxLength: 200 },
);

test("order and batching do not matter; merging is exact for counts and quantiles", () => {
  fc.assert(
    fc.property(values, fc.nat(), fc.integer({ min: 1, max: 50 }), (column, cut, size) => {
      const all = createRunningStats();
      updateRunningStats(all, matrix(column, 1));
      const at = cut % (column.length + 1);
      const part = (rows: number[]): ExactStats => {
        const stats = createRunningStats();
        for (let i = 0; i < rows.length; i += size)
          updateRunningStats(stats, matrix(rows.slice(i, i + size), 1));
        return stats;
      };
      const [a, b] = [part(column.slice(0, at).reverse()), part(column.slice(at))];
      for (const merged of [mergeRunningStats(a, b), mergeRunningStats(b, a)]) {
        expect(sparse(merged)).toEqual(sparse(all));
        expect([merged.count, merged.min, merged.max]).toEqual([all.count, all.min, all.max]);
        const [x, y] = [getStatistics(merged), getStatistics(all)];
        expect([x.q01, x.q99]).toEqual([y.q01, y.q99]);
        expect(x.mean).toBeAllclose(y.mean, { rtol: 1e-12, atol: 1e-9 });
        expect(x.std).toBeAllclose(y.std, { rtol: 1e-9, atol: 1e-9 });
      }
    }),
    { numRuns: 60 },
  );
});

test("quantiles are within one bin of numpy's", () => {
  fc.assert(
    fc.property(values, (column) => {
      const stats = createRunningStats();
      updateRunningStats(stats, matrix(column, 1));
      const { q01, q99 } = getStatistics(stats);
      const expected = exactStatistics(column);
      const atol = 2 ** stats.histograms[0]!.exponent * (1 + 1e-9);
      expect([q01![0], q99![0]]).toBeAllclose([expected.q01, expected.q99], { atol });
    }),
    { numRuns: 60 },
  );
});

test("a large offset does not cancel", () => {
  const stats = createRunningStats();
  updateRunningStats(stats, { data: Float32Array.of(16_777_215, 16_777_214, 16_777_213), shape: [3, 1] });
  expect(getStatistics(stats).std[0]).toBeCloseTo(Math.sqrt(2 / 3), 12);
});

test("a constant dimension is its own quantile, at any magnitude", () => {
  for (const v of [0, -3.7, 1e300, 1e-300]) {
    const stats = createRunningStats();
    updateRunningStats(stats, matrix([v, v, v], 1));
    expect(getStatistics(stats)).toEqual({
      mean: Float64Array.of(v),
      std: Float64Array.of(0),
      q01: Float64Array.of(v),
      q99: Float64Array.of(v),
    });
  }
});

test("states travel between workers", () => {
  const stats = createRunningStats();
  updateRunningStats(stats, matrix([1, 2, 3, 4], 2));
  expect(getStatistics(structuredClone(stats))).toEqual(getStatistics(stats));
});

test("states travel between ranks as arrays of one length, and merge to the whole", () => {
  const rows = Array.from({ length: 40 }, (_, i) => Math.sin(i * i) * 10 ** (i % 5));
  const part = (from: number, to: number): ExactStats => {
    const stats = createRunningStats();
    if (to > from) updateRunningStats(stats, matrix(rows.slice(from * 2, to * 2), 2));
    return stats;
  };
  const ranks = [part(0, 7), part(7, 7), part(7, 20)];
  const packed = ranks.map((stats) => packRunningStats(stats, 2));
  expect(packed.map((p) => p.length)).toEqual(new Array(3).fill(packedLength(2)));
  expect(unpackRunningStats(packed[0]!)).toEqual(ranks[0]);
  expect(unpackRunningStats(packed[1]!)).toEqual(createRunningStats());
  const merged = packed.map(unpackRunningStats).reduce(mergeRunningStats);
  const [found, whole] = [
    getStatistics(merged, { minMax: true }),
    getStatistics(part(0, 20), { minMax: true }),
  ];
  for (const field of ["q01", "q99", "min", "max"] as const) expect(found[field]).toEqual(whole[field]);
  for (const field of ["mean", "std"] as const)
    expect(found[field]).toBeAllclose(whole[field], { rtol: 1e-13 });
  expect(() => packRunningStats(ranks[0]!, 3)).toThrow("expected vectors of 3 dims, found 2");
  for (const bad of [
    new Float64Array(0),
    packed[0]!.slice(1),
    Float64Array.of(1, 5, Number.NaN),
    packed[0]!.slice(0, 9),
  ]) {
    expect(() => unpackRunningStats(bad)).toThrow("expected a packed state");
  }
});

test("extremes on request, in both modes", () => {
  for (const upstream of [false, true]) {
    const stats = upstream ? createRunningStats({ upstream: true }) : createRunningStats();
    updateRunningStats(stats, matrix([1, -2, 5, 0, -3, 7], 2));
    expect(getStatistics(stats)).not.toHaveProperty("min");
    expect(getStatistics(stats, { minMax: true })).toMatchObject({
      min: Float64Array.of(-3, -2),
      max: Float64Array.of(5, 7),
    });
  }
});

test("errors", () => {
  const stats = createRunningStats();
  expect(() => getStatistics(stats)).toThrow("Cannot compute statistics for less than 2 vectors (found 0)");
  updateRunningStats(stats, matrix([1, 2], 2));
  expect(() => getStatistics(stats)).toThrow("(found 1)");
  expect(() => updateRunningStats(stats, matrix([1, 2, 3], 3), "actions")).toThrow(
    "actions: expected vectors of 2 dims as before, found 3",
  );
  expect(() => updateRunningStats(stats, matrix([1, 2, 3, Number.NaN], 2), "actions")).toThrow(
    "actions: found NaN at dim 1 of row 1",
  );
  expect(stats.count).toBe(1);
  const other = createRunningStats();
  updateRunningStats(other, matrix([1], 1));
  expect(() => mergeRunningStats(stats, other)).toThrow("vectors of 2 and 1 dims");
});
