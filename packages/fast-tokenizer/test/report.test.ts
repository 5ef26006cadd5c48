import type { InsulaError, NdArray } from "@insula/model-types";
import { describeShared } from "@insula/test-kit";
import { describe, expect, test } from "vitest";
import { FastActionTokenizer, fitFastTokenizer, idct, reportFast } from "../src/index.js";
import { corpusChunks, random, smoothChunk } from "./shared-fast.js";

const make = (n: number, seed: number): NdArray<Float64Array>[] => {
  const next = random(seed);
  return Array.from({ length: n }, () => smoothChunk(16, 3, next));
};
const fitted = fitFastTokenizer(make(200, 1), { vocabSize: 512, byteAlphabet: true });
const tokenizer = new FastActionTokenizer(fitted);

describe("reportFast", () => {
  test("counts tokens and errors as by hand", () => {
    const held = make(150, 2);
    const report = reportFast(tokenizer, held, { units: [1, 2, -10] });
    const lengths = held.map((chunk) => tokenizer.encode(chunk).length).sort((a, b) => a - b);
    const total = lengths.reduce((a, b) => a + b);
    expect(report.chunks).toBe(150);
    expect(report.failures).toEqual([]);
    expect(report.tokensPerChunk.mean).toBeCloseTo(total / 150, 12);
    // numpy.percentile(…, 99) of 150 numbers: between the 148th and the 149th.
    expect(report.tokensPerChunk.p99).toBeCloseTo(lengths[147]! + 0.51 * (lengths[148]! - lengths[147]!), 12);
    expect(report.tokensPerChunk.max).toBe(lengths[149]);
    expect(report.compressionRatio).toBeCloseTo((150 * 48) / total, 12);

    const squares = [0, 0, 0];
    const worst = [0, 0, 0];
    for (const chunk of held) {
      const { actions } = tokenizer.decode(tokenizer.encode(chunk), { horizon: 16, dim: 3 });
      for (const [i, x] of actions.data.entries()) {
        const error = Math.abs(x - chunk.data[i]!) * [1, 2, 10][i % 3]!;
        squares[i % 3]! += error ** 2;
        worst[i % 3] = Math.max(worst[i % 3]!, error);
      }
    }
    expect(report.rmse).toBeAllclose(
      squares.map((sum) => Math.sqrt(sum / (150 * 16))),
      { rtol: 1e-12 },
    );
    expect(report.maxError).toEqual(worst);
  });

  test("rounding errors are uniform: RMSE 1 / (scale √12)", () => {
    // White noise is rounded evenly; the orthonormal transform keeps the error's energy.
    const next = random(3);
    const noise = Array.from({ length: 400 }, () => ({
      data: Float64Array.from({ length: 48 }, () => 8 * next() - 4),
      shape: [16, 3],
    }));
    for (const rmse of reportFast(tokenizer, noise).rmse) expect(rmse).toBeCloseTo(0.1 / Math.sqrt(12), 3);
  });

  test("failures are listed, not averaged", () => {
    const narrow = new FastActionTokenizer(fitFastTokenizer(make(30, 4), { vocabSize: 300 }));
    const wild = {
      data: idct({ data: Float64Array.from({ length: 48 }, () => 300), shape: [16, 3] }).data,
      shape: [16, 3],
    };
    const broken = { data: new Float64Array(48).fill(Number.NaN), shape: [16, 3] };
    const [good] = make(1, 4);
    const report = reportFast(narrow, [good!, wild, broken]);
    expect(report.chunks).toBe(3);
    expect(report.failures.map(({ chunk, code }) => [chunk, code])).toEqual([
      [1, "fast/out-of-alphabet"],
      [2, "fast/not-finite"],
    ]);
    expect(report.tokensPerChunk.mean).toBe(narrow.encode(good!).length);
    const none = reportFast(narrow, [broken]);
    expect([none.tokensPerChunk, none.compressionRatio]).toEqual([{ mean: 0, p50: 0, p99: 0, max: 0 }, 0]);
  });

  test("refuses what it cannot compare", () => {
    const code = (run: () => unknown): string => {
      try {
        run();
      } catch (error) {
        return (error as InsulaError).code;
      }
      return "none";
    };
    const other = { data: new Float64Array(8), shape: [4, 2] };
    expect(code(() => reportFast(tokenizer, []))).toBe("fast/report");
    expect(code(() => reportFast(tokenizer, [...make(1, 1), other]))).toBe("fast/report");
    expect(code(() => reportFast(tokenizer, make(1, 1), { units: [1, 2] }))).toBe("fast/report");
  });
});

describeShared("a fit, reported on what was held out", () => {
  test("shorter than one token per number, exact to the quantiser", () => {
    const chunks = corpusChunks(["corpus_16x8"]);
    const held = new FastActionTokenizer(fitFastTokenizer(chunks.slice(0, 1000), { byteAlphabet: true }));
    const report = reportFast(held, chunks.slice(1000));
    expect(report.chunks).toBe(200);
    expect(report.failures).toEqual([]);
    expect(report.compressionRatio).toBeGreaterThan(2);
    expect(report.tokensPerChunk.p99).toBeGreaterThan(report.tokensPerChunk.mean);
    for (const rmse of report.rmse) expect(rmse).toBeLessThan(0.05);
  });
});
