import { expect, test } from "vitest";
import { sampleDataSplits } from "../src/splits.js";

test("the last 8 of 64 are for validation", () => {
  const { train, validation } = sampleDataSplits();
  expect(validation).toEqual([56, 57, 58, 59, 60, 61, 62, 63]);
  expect(train).toEqual(Array.from({ length: 56 }, (_, i) => i));
});

test("every episode is in one split, and scenes (pairs) stay together", () => {
  for (let n = 1; n < 100; n++) {
    const { train, validation } = sampleDataSplits(n);
    expect([...train, ...validation]).toEqual(Array.from({ length: n }, (_, i) => i));
    if (validation.length > 0) expect(validation[0]! % 2).toBe(0);
    expect(train.length).toBeGreaterThan(0);
    expect(validation.length > 0).toBe(n >= 8);
  }
});

test.each([0, -1, 2.5, Number.NaN])("%s episodes are refused", (n) => {
  expect(() => sampleDataSplits(n)).toThrow(`episodes: expected an integer from 1 to 100000, found ${n}`);
});
