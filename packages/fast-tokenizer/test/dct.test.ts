import { describeShared, sharedTensors } from "@insula/test-kit";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FFT_FROM, fftPlan, matrixPlan } from "../src/dct.js";
import { dct, idct } from "../src/index.js";

const chunk = fc
  .tuple(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 9 }))
  .chain(([horizon, dim]) =>
    fc
      .array(fc.double({ min: -10, max: 10, noNaN: true }), {
        minLength: horizon * dim,
        maxLength: horizon * dim,
      })
      .map((values) => ({ data: Float64Array.from(values), shape: [horizon, dim] })),
  );

describeShared("dct against scipy", () => {
  const tensors = sharedTensors("golden/common/dct.safetensors");
  const cases = [...tensors.keys()].filter((key) => key.endsWith("/x")).map((key) => key.slice(0, -2));

  test.each(cases)("%s", (key) => {
    const x = tensors.get(`${key}/x`)!;
    const forward = tensors.get(`${key}/dct`)!.data as Float64Array;
    const inverse = tensors.get(`${key}/idct`)!.data as Float64Array;
    expect(dct(x).data).toBeAllclose(forward, { rtol: 1e-12 });
    expect(idct(x).data).toBeAllclose(inverse, { rtol: 1e-12 });

    const [horizon, dim] = x.shape as [number, number];
    const plans = [matrixPlan(horizon), ...(Number.isInteger(Math.log2(horizon)) ? [fftPlan(horizon)] : [])];
    for (const plan of plans) {
      const out = new Float64Array(horizon * dim);
      plan.forward(x.data as Float64Array, out, dim);
      expect(out).toBeAllclose(forward, { rtol: 1e-12 });
      plan.inverse(x.data as Float64Array, out, dim);
      expect(out).toBeAllclose(inverse, { rtol: 1e-12 });
    }
  });
});

describe("dct", () => {
  test("is orthonormal: the inverse undoes it and lengths are kept", () => {
    fc.assert(
      fc.property(chunk, (x) => {
        const y = dct(x);
        expect(idct(y).data).toBeAllclose(x.data, { rtol: 1e-12, atol: 1e-13 });
        const norm = (v: Float64Array) => Math.sqrt(v.reduce((sum, value) => sum + value * value, 0));
        expect(norm(y.data)).toBeCloseTo(norm(x.data), 9);
      }),
    );
  });

  test("is linear, column by column", () => {
    fc.assert(
      fc.property(chunk, fc.double({ min: -3, max: 3, noNaN: true }), (x, factor) => {
        const scaled = { data: x.data.map((v) => factor * v), shape: x.shape };
        const expected = dct(x).data.map((v) => factor * v);
        expect(dct(scaled).data).toBeAllclose(expected, { rtol: 1e-12, atol: 1e-12 });
      }),
    );
  });

  test("long powers of two go through the FFT and agree with the matrix", () => {
    for (const horizon of [FFT_FROM, 512]) {
      const x = Float64Array.from({ length: horizon * 3 }, (_, i) => Math.sin(i * i));
      const expected = new Float64Array(x.length);
      matrixPlan(horizon).forward(x, expected, 3);
      expect(dct({ data: x, shape: [horizon, 3] }).data).toBeAllclose(expected, { rtol: 1e-12 });
    }
  });

  test("writes into the array it is given", () => {
    const out = new Float64Array(6);
    const result = dct({ data: new Float32Array([1, 2, 3, 4, 5, 6]), shape: [3, 2] }, out);
    expect(result.data).toBe(out);
    expect(out[0]).toBeCloseTo(9 / Math.sqrt(3), 12);
  });

  test("refuses what is no chunk", () => {
    expect(() => dct({ data: new Float64Array(6), shape: [6] })).toThrowErrorMatchingInlineSnapshot(
      `[InsulaError: dct: expected a chunk [horizon, dim] with horizon, dim ≥ 1, found [6] with 6 elements]`,
    );
    expect(() => dct({ data: new Float64Array(5), shape: [3, 2] })).toThrow(/found \[3, 2\] with 5 elements/);
    expect(() => dct({ data: new BigInt64Array(2), shape: [2, 1] })).toThrow(/found BigInt64Array/);
    expect(() => dct({ data: new Float64Array(3000), shape: [3000, 1] })).toThrow(/horizon of 1…2048/);
    expect(() => dct({ data: new Float64Array(2), shape: [2, 1] }, new Float64Array(3))).toThrow(
      /out has 3 elements/,
    );
  });
});
