import fc from "fast-check";
import { expect, test } from "vitest";
import { flowDraws, makeRng, type RngState } from "../src/rng.js";

const size = { batchSize: 3, actionHorizon: 5, actionDim: 7 };

test("a state that went through JSON continues the same stream", () => {
  fc.assert(
    fc.property(fc.integer(), fc.nat(40), (seed, skip) => {
      const rng = makeRng({ seed, purpose: "noise" });
      for (let i = 0; i < skip; i++) rng.uniform();
      const copy = makeRng(JSON.parse(JSON.stringify(rng.state())) as RngState);
      expect(flowDraws(copy, size)).toEqual(flowDraws(rng, size));
    }),
  );
});

test("same seed, same draws; other seed or purpose, other draws", () => {
  const draw = (seed: number, purpose: string) =>
    [...makeRng({ seed, purpose }).normal(new Float32Array(4))].join();
  expect(draw(42, "noise")).toBe(draw(42, "noise"));
  expect(new Set([draw(42, "noise"), draw(43, "noise"), draw(42, "shuffle"), draw(-42, "noise")]).size).toBe(
    4,
  );
});

test("noise has the moments of N(0, 1), also across neighbouring seeds", () => {
  const n = 200_000;
  const x = makeRng({ seed: 42, purpose: "noise" }).normal(new Float32Array(n));
  const moment = (k: number) => x.reduce((sum, v) => sum + v ** k, 0) / n;
  // Four standard errors of the k-th sample moment: √(E[x^2k] − E[x^k]²) / √n.
  expect(Math.abs(moment(1))).toBeLessThan(4 / Math.sqrt(n));
  expect(Math.abs(moment(2) - 1)).toBeLessThan((4 * Math.sqrt(2)) / Math.sqrt(n));
  expect(Math.abs(moment(4) - 3)).toBeLessThan((4 * Math.sqrt(96)) / Math.sqrt(n));
  const firsts = Float32Array.from(
    { length: 2000 },
    (_, seed) => makeRng({ seed, purpose: "noise" }).normal(new Float32Array(1))[0]!,
  );
  const mean = firsts.reduce((a, b) => a + b, 0) / 2000;
  const lag = firsts.reduce((a, v, i) => a + (v - mean) * ((firsts[i + 1] ?? mean) - mean), 0) / 2000;
  expect(Math.abs(mean)).toBeLessThan(4 / Math.sqrt(2000));
  expect(Math.abs(lag)).toBeLessThan(4 / Math.sqrt(2000));
});

test("time is Beta(1.5, 1) between 0.001 and 1: its CDF is ((t − 0.001) / 0.999)^1.5", () => {
  const n = 50_000;
  const { time, noise } = flowDraws(makeRng({ seed: 1, purpose: "noise" }), { ...size, batchSize: n });
  expect(noise.shape).toEqual([n, 5, 7]);
  expect(time.shape).toEqual([n]);
  const sorted = time.data.slice().sort();
  expect(sorted[0]).toBeGreaterThanOrEqual(Math.fround(0.001));
  expect(sorted[n - 1]).toBeLessThanOrEqual(1);
  // Kolmogorov–Smirnov distance; 1.95 / √n is its 0.1 % point.
  let distance = 0;
  sorted.forEach((t, i) => {
    distance = Math.max(distance, Math.abs(((t - 0.001) / 0.999) ** 1.5 - (i + 0.5) / n));
  });
  expect(distance).toBeLessThan(1.95 / Math.sqrt(n));
});

test("a state of another kind is refused", () => {
  const state = { algorithm: "mt19937", state: [1, 2, 3, 4] } as unknown as RngState;
  expect(() => makeRng(state)).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: generator state: expected xoroshiro128plus with 4 integers, found {"algorithm":"mt19937","state":[1,2,3,4]}]`,
  );
});
