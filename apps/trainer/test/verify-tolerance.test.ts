import fc from "fast-check";
import { expect, test } from "vitest";
import {
  compare,
  EXACT,
  FLOAT64,
  GRADIENT,
  LOSS,
  PARAMETER,
  toleranceIn,
  toleranceText,
} from "../src/verify/tolerance.js";

test("the numeric contract", () => {
  const near = (scale: number) => [1, 1 + scale];
  expect(compare(near(1.9e-5), [1, 1], LOSS).ok).toBe(true);
  expect(compare(near(2.1e-5), [1, 1], LOSS).ok).toBe(false);
  expect(compare(near(0.9e-6), [1, 1], PARAMETER).ok).toBe(true);
  expect(compare(near(1.1e-6), [1, 1], PARAMETER).ok).toBe(false);
  expect(compare(near(2e-12), [1, 1], FLOAT64).ok).toBe(false);
  expect(compare([0, 1 + 1e-16], [0, 1], EXACT).ok).toBe(true);
  expect(compare([0, 1 + 3e-16], [0, 1], EXACT).ok).toBe(false);
  // A gradient that is zero in theory is noise on both sides.
  expect(compare([9e-7, 0], [0, 5e-9], GRADIENT)).toMatchObject({ ok: true, maxRel: 0 });
});

test("the scale is the tensor's or the element's", () => {
  expect(compare([100, 1.001], [100, 1], { rtol: 1e-4 }).ok).toBe(true);
  expect(compare([100, 1.001], [100, 1], { rtol: 1e-4, scale: "element" }).ok).toBe(false);
  expect(compare([1e-9], [0], { rtol: 1e-4, scale: "element" })).toMatchObject({
    ok: false,
    maxRel: Infinity,
  });
});

test("NaN equals NaN only, infinities themselves, and lengths must agree", () => {
  expect(compare([NaN, Infinity, 1n], [NaN, Infinity, 1], EXACT).ok).toBe(true);
  expect(compare([NaN], [1], { rtol: 1 })).toMatchObject({ ok: false, maxAbs: NaN, worst: 0 });
  expect(compare([1], [NaN], { atol: 1 }).ok).toBe(false);
  expect(compare([Infinity], [-Infinity], { atol: 1 }).ok).toBe(false);
  expect(compare([1, 2], [1], { atol: 9 }).ok).toBe(false);
});

test("rows that are left out count neither as difference nor as scale", () => {
  const rows = [1, 0];
  expect(compare([1, 2, 9, 9], [1, 2, 3e6, 4], EXACT, rows)).toMatchObject({
    ok: true,
    maxAbs: 0,
    worst: -1,
  });
  expect(compare([1, 2.1, 9, 9], [1, 2, 3e6, 4], { rtol: 1e-3 }, rows)).toMatchObject({
    ok: false,
    worst: 1,
  });
});

test("a tensor agrees with itself, and with one changed number does not", () => {
  const numbers = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1 });
  fc.assert(
    fc.property(numbers, fc.nat(), (x, at) => {
      expect(compare(x, x, EXACT)).toEqual({ ok: true, maxAbs: 0, maxRel: 0, worst: -1 });
      const i = at % x.length;
      const changed = x.map((v, j) => (j === i ? v + 1 + Math.abs(v) : v));
      expect(compare(changed, x, LOSS)).toMatchObject({
        ok: 1 + Math.abs(x[i]!) <= 2e-5 * Math.max(...x.map(Math.abs)),
        worst: i,
      });
    }),
  );
});

test("as text", () => {
  expect(
    [EXACT, LOSS, GRADIENT, PARAMETER, { rtol: 0.5, scale: "element" as const }].map(toleranceText),
  ).toEqual(["exact", "2e-5 of max", "1e-4 of max, at least 1e-6 abs", "1e-6 abs", "5e-1 rel"]);
});

test("a GPU's tolerances are wider where it computes, and still catch the smallest mistake", () => {
  for (const tolerance of [EXACT, FLOAT64, LOSS]) expect(toleranceIn("cpu", tolerance)).toBe(tolerance);
  for (const tolerance of [EXACT, FLOAT64]) expect(toleranceIn("cuda", tolerance)).toBe(tolerance);
  const near = (scale: number) => [1, 1 + scale];
  expect(compare(near(4e-5), [1, 1], toleranceIn("cuda", LOSS)).ok).toBe(true);
  expect(compare(near(1.2e-4), [1, 1], toleranceIn("cuda", LOSS)).ok).toBe(false);
  expect(toleranceText(toleranceIn("cuda", GRADIENT))).toBe("5e-4 of max, at least 5e-6 abs");
});
