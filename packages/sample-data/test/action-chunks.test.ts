import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { actionChunk, normalizeQuantiles, quantilesOf } from "../src/action-chunks.js";

describe("actionChunk", () => {
  const actions = Float32Array.from([1, 10, 2, 20, 3, 30]); // [3, 2]

  test("within the episode, rows as they are", () => {
    expect(actionChunk(actions, 2, 1, 2)).toEqual({ data: Float32Array.from([2, 20, 3, 30]), shape: [2, 2] });
  });

  test("past its end the last row repeats", () => {
    expect([...actionChunk(actions, 2, 1, 4).data]).toEqual([2, 20, 3, 30, 3, 30, 3, 30]);
  });
});

test("quantiles are values of the data: 1 % and 99 % of 200 rows, in two arrays", () => {
  const rows = Array.from({ length: 200 }, (_, i) => [i, -2 * i]);
  const even = Float32Array.from(rows.filter((_, i) => i % 2 === 0).flat());
  const odd = Float32Array.from(rows.filter((_, i) => i % 2 === 1).flat());
  const { q01, q99 } = quantilesOf([even, odd], 2);
  expect([...q01]).toEqual([1, -396]); // the second smallest
  expect([...q99]).toEqual([197, -4]); // the 198th
});

test("property: q01 becomes -1, q99 becomes 1, and what lies between lies between", () => {
  const value = fc.float({ min: -5, max: 5, noNaN: true });
  fc.assert(
    fc.property(fc.array(value, { minLength: 10, maxLength: 300 }), (values) => {
      const data = Float32Array.from(values);
      const quantiles = quantilesOf([data], 1);
      const [low, high] = [quantiles.q01[0]!, quantiles.q99[0]!];
      fc.pre(high - low > 0.1);
      const normalized = normalizeQuantiles(data, quantiles);
      data.forEach((x, i) => {
        if (x === low) expect(normalized[i]).toBe(-1);
        if (x === high) expect(normalized[i]).toBeCloseTo(1, 4);
        expect(Math.abs(normalized[i]!) <= 1 + 1e-6).toBe(x >= low && x <= high);
      });
    }),
  );
});
