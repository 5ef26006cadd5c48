import type { InsulaError, NdArray } from "@insula/model-types";
import { describeShared, sharedJson, sharedTensors } from "@insula/test-kit";
import fc from "fast-check";
import { expect, test } from "vitest";
import { FastActionTokenizer } from "../src/index.js";
import { codeOf } from "./error-of.js";
import {
  chunkKey,
  type FastGoldens,
  FITTED,
  fastFiles,
  fastPlus,
  goldenBpe,
  random,
  smoothChunk,
} from "./shared-fast.js";

const matrix = (rows: number[][]): NdArray<Float64Array> => ({
  data: Float64Array.from(rows.flat()),
  shape: [rows.length, rows[0]!.length],
});

/** The code of what `run` throws. */
describeShared("FAST against the reference", () => {
  const actions = sharedTensors("golden/public/fast/bpe1024/goldens.safetensors");

  test.each(["bpe1024", "bpe2048", "fastplus"])("%s: ids and decoded actions of 200 chunks", (name) => {
    const goldens = sharedJson<FastGoldens>(`golden/public/fast/${name}/goldens.json`);
    const files =
      name === "fastplus"
        ? fastFiles("data/fast_plus")
        : { tokenizer: sharedJson(`golden/public/fast/${name}/tokenizer.json`), config: goldens };
    const tokenizer = new FastActionTokenizer(files, { outOfAlphabet: "drop" });
    expect(tokenizer.bpe).toBe("integer");
    const tensors = sharedTensors(`golden/public/fast/${name}/goldens.safetensors`);
    for (const { i, kind, decode_ok: decodes } of goldens.cases) {
      const key = chunkKey(i);
      const chunk = actions.get(`${key}/actions`)!;
      const [horizon, dim] = chunk.shape as [number, number];
      const coefficients = actions.get(`${key}/dct_q`)!.data as Int32Array;
      expect(tokenizer.quantize(chunk)).toEqual(new Int32Array(coefficients));

      const ids = tokenizer.encode(chunk);
      expect([...ids], `${key} (${kind})`).toEqual([...(tensors.get(`${key}/tokens`)!.data as Int32Array)]);

      // With upstream's manners: the same numbers, but never without saying so.
      const upstream = tokenizer.decode(ids, { horizon, dim, onError: "upstream" });
      const expected = tensors.get(`${key}/decoded`)!.data as Float64Array;
      expect(upstream.actions.data).toBeAllclose(expected, { rtol: 1e-12, atol: 1e-13 });
      if (!decodes) expect(upstream.status).not.toBe("ok");
      const absurd = expected.some((value) => Math.abs(value) > 1000);
      if (decodes && !absurd) expect(upstream.status).toBe("ok");
      if (absurd) expect(upstream.status).toBe("malformed");
    }
  });

  test("FAST+ on real DROID actions", () => {
    const { cases } = sharedJson<{
      cases: {
        normalized: number[][];
        quantized_dct: number[];
        tokens: number[];
        decoded: number[][];
        horizon: number;
        dim: number;
      }[];
    }>("data/fast_plus/golden_selfgenerated.json");
    const tokenizer = fastPlus();
    const reference = fastPlus({ bpe: "reference" });
    for (const golden of cases) {
      const chunk = matrix(golden.normalized);
      expect([...tokenizer.quantize(chunk)]).toEqual(golden.quantized_dct);
      expect([...tokenizer.encode(chunk)]).toEqual(golden.tokens);
      expect([...reference.encode(chunk)]).toEqual(golden.tokens);
      const { actions: decoded } = tokenizer.decode(golden.tokens, golden);
      expect(decoded.data).toBeAllclose(golden.decoded.flat(), { rtol: 1e-12, atol: 1e-13 });
    }
  });

  test("a batch is its chunks", () => {
    const { data, shape } = sharedTensors("golden/public/fast/corpus.safetensors").get("corpus_16x8")!;
    const [, horizon, dim] = shape as [number, number, number];
    const few = { data: data.subarray(0, 5 * horizon * dim), shape: [5, horizon, dim] };
    const tokenizer = fastPlus();
    const batch = tokenizer.encodeBatch(few);
    expect(batch).toHaveLength(5);
    const chunks = batch.map((_, b) => ({
      data: data.subarray(b * horizon * dim, (b + 1) * horizon * dim),
      shape: [horizon, dim],
    }));
    expect(tokenizer.encodeBatch(chunks)).toEqual(batch);
    expect(chunks.map((chunk) => tokenizer.encode(chunk))).toEqual(batch);
    expect(codeOf(() => tokenizer.encodeBatch(chunks[0]!))).toBe("fast/shape");
  });

  test.each(FITTED)("published fitted tokenizer %s: loads, round-trips, agrees with the library", (name) => {
    const files = fastFiles(`data/fast_fitted/${name}`);
    const tokenizer = new FastActionTokenizer(files, { outOfAlphabet: "drop" });
    const reference = new FastActionTokenizer(files, { outOfAlphabet: "drop", bpe: "reference" });
    expect(tokenizer.vocabSize).toBe(1024);
    const next = random(7);
    let decoded = 0;
    for (let i = 0; i < 40; i++) {
      const chunk = smoothChunk(10, 7, next);
      for (let j = 0; j < chunk.data.length; j++) chunk.data[j]! *= 0.5;
      const ids = tokenizer.encode(chunk);
      expect([...ids]).toEqual([...reference.encode(chunk)]);
      const q = tokenizer.quantize(chunk);
      const result = tokenizer.decode(ids, { horizon: 10, dim: 7, onError: "status" });
      if (!result.actions) continue;
      decoded++;
      const clamped = q.map((value) => Math.max(value, tokenizer.minToken));
      expect(tokenizer.decodeCoefficients(ids, q.length)).toEqual(clamped);
    }
    expect(decoded).toBeGreaterThan(30);
  });
});

describeShared("FAST's guards", () => {
  const tokenizer = fastPlus();
  const zeros = (): NdArray<Float64Array> => ({ data: new Float64Array(32), shape: [16, 2] });

  test("round trip: the mean square error is at most (1/2 / scale)² per number", () => {
    const next = random(1);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 14 }), (horizon, dim) => {
        const chunk = smoothChunk(horizon, dim, next);
        const { actions } = tokenizer.decode(tokenizer.encode(chunk), { horizon, dim });
        for (let d = 0; d < dim; d++) {
          let sum = 0;
          for (let t = 0; t < horizon; t++)
            sum += (actions.data[t * dim + d]! - chunk.data[t * dim + d]!) ** 2;
          // The transform keeps lengths, each coefficient is off by at most half a unit.
          expect(sum).toBeLessThanOrEqual(horizon * 0.05 ** 2 * (1 + 1e-9));
        }
      }),
    );
  });

  test("round trip: no number is off by more than half a unit times its column's sum", () => {
    const next = random(2);
    let tightest = 0;
    const { tokenizer: json, config } = tokenizer.files;
    const scales = [5, 10, 50].map(
      (scale) => new FastActionTokenizer({ tokenizer: json, config: { ...config, scale } }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.constantFrom(...scales), (horizon, scaled) => {
        const chunk = smoothChunk(horizon, 2, next);
        for (let i = 0; i < chunk.data.length; i++) chunk.data[i]! *= 0.9;
        const { actions } = scaled.decode(scaled.encode(chunk), { horizon, dim: 2 });
        for (let t = 0; t < horizon; t++) {
          // x_t = Σ_k w_k cos(π (2t + 1) k / 2n) c_k, each c_k off by at most 1 / (2 scale).
          let sum = 0;
          for (let k = 0; k < horizon; k++) {
            const weight = Math.sqrt((k === 0 ? 1 : 2) / horizon);
            sum += Math.abs(weight * Math.cos((Math.PI * (2 * t + 1) * k) / (2 * horizon)));
          }
          const bound = (sum * 0.5) / scaled.scale + 1e-12;
          for (let d = 0; d < 2; d++) {
            const error = Math.abs(actions.data[2 * t + d]! - chunk.data[2 * t + d]!);
            expect(error).toBeLessThanOrEqual(bound);
            tightest = Math.max(tightest, error / bound);
          }
        }
      }),
      { numRuns: 200 },
    );
    // And the bound is no empty one.
    expect(tightest).toBeGreaterThan(0.5);
  });

  test("encode ∘ decode is the identity on actions that lie on the grid of coefficients", () => {
    const grid = fc
      .tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 8 }))
      .chain(([horizon, dim]) =>
        fc.record({
          horizon: fc.constant(horizon),
          dim: fc.constant(dim),
          q: fc.array(fc.integer({ min: -354, max: 3000 }), {
            minLength: horizon * dim,
            maxLength: horizon * dim,
          }),
        }),
      );
    fc.assert(
      fc.property(grid, ({ horizon, dim, q }) => {
        const ids = tokenizer.encodeCoefficients(q);
        const { actions } = tokenizer.decode(ids, { horizon, dim });
        expect([...tokenizer.quantize(actions)]).toEqual(q.map((value) => value + 0));
        expect([...tokenizer.encode(actions)]).toEqual([...ids]);
      }),
      { numRuns: 200 },
    );
  });

  test("decode ∘ encode is the identity on coefficients, whatever their class of character", () => {
    const coefficient = fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: -20, max: 20 }) },
      { weight: 2, arbitrary: fc.integer({ min: -354, max: 2000 }) },
      { weight: 1, arbitrary: fc.integer({ min: 2000, max: 0xd800 - 355 }) },
      { weight: 1, arbitrary: fc.integer({ min: 0xe000 - 354, max: 0x10ffff - 354 }) },
    );
    fc.assert(
      fc.property(fc.array(coefficient, { minLength: 1, maxLength: 300 }), (q) => {
        fc.pre(!q.includes(0xfffd - 354));
        const ids = tokenizer.encodeCoefficients(q);
        expect([...tokenizer.decodeCoefficients(ids, q.length)]).toEqual(q);
      }),
      { numRuns: 300 },
    );
  });

  test("rounds half to even", () => {
    const { tokenizer: json, config } = tokenizer.files;
    const unit = new FastActionTokenizer({ tokenizer: json, config: { ...config, scale: 1 } });
    // Four equal steps of x make the first coefficient 2x: an exact tie.
    const constant = matrix(Array.from({ length: 4 }, () => [0.25, 0.75, 1.25, -0.25, -0.75]));
    expect([...unit.quantize(constant)].slice(0, 5).map((q) => q + 0)).toEqual([0, 2, 2, 0, -2]);
    // One step: scipy's factors 2·√½·√½ are a unit in the last place above 1, so ties fall outward, as there.
    expect([...unit.quantize(matrix([[0.5, 1.5, 2.5, -0.5, -1.5, 0.49]]))]).toEqual([1, 2, 3, -1, -2, 0]);
  });

  test("names the dimension and value of what cannot be encoded", () => {
    const messages: string[] = [];
    const attempt = (change: (chunk: NdArray<Float64Array>) => void, options = {}): void => {
      const chunk = zeros();
      change(chunk);
      try {
        fastPlus(options).encode(chunk);
        messages.push("accepted");
      } catch (error) {
        messages.push(`${(error as InsulaError).code}: ${(error as InsulaError).message}`);
      }
    };
    attempt(({ data }) => {
      data[7] = Number.NaN;
    });
    attempt(({ data }) => {
      data[4] = Number.NEGATIVE_INFINITY;
    });
    attempt(({ data }) => {
      for (let t = 0; t < 16; t++) data[2 * t + 1] = 1400;
    });
    attempt(({ data }) => data.fill(1e300));
    attempt(({ data }) => data.fill(-40), { belowMin: "throw" });
    attempt(({ data }) => data.fill(-40));
    expect(messages).toMatchInlineSnapshot(`
      [
        "fast/not-finite: fast: actions[3, 1] is NaN",
        "fast/not-finite: fast: actions[2, 0] is -Infinity",
        "fast/unencodable: fast: dimension 1, frequency 0: coefficient 56000 has no character (from 54942 on they are surrogates or beyond Unicode) (largest action of that dimension: 1400); check the normalisation: a dimension whose quantiles coincide is divided by almost nothing",
        "fast/unencodable: fast: dimension 0, frequency 0: coefficient 4e+301 has no character (from 54942 on they are surrogates or beyond Unicode) (largest action of that dimension: 1e+300); check the normalisation: a dimension whose quantiles coincide is divided by almost nothing",
        "fast/below-min: fast: dimension 0, frequency 0: coefficient -1600 is below min_token -354 (largest action of that dimension: -40)",
        "accepted",
      ]
    `);
  });

  test("a fitted alphabet refuses what it has not seen, or drops it when told to", () => {
    const { files } = goldenBpe(1024);
    const strict = new FastActionTokenizer(files);
    const chunk: NdArray<Float64Array> = { data: new Float64Array(8).fill(90), shape: [4, 2] };
    expect(() => strict.encode(chunk)).toThrowErrorMatchingInlineSnapshot(
      `[InsulaError: fast: dimension 0, frequency 0: coefficient 1800 is not in the fitted alphabet of this tokenizer; fit it on data that has it, or with byteAlphabet: true]`,
    );
    const upstream = new FastActionTokenizer(files, { outOfAlphabet: "drop" });
    const ids = upstream.encode(chunk);
    expect(upstream.decode(ids, { horizon: 4, dim: 2, onError: "status" }).status).not.toBe("ok");
  });

  test("failures of decode are typed, never numbers", () => {
    const ids = [...tokenizer.encode(zeros())];
    const shape = { horizon: 16, dim: 2 };
    const cut = ids.slice(0, -1);
    const firstByte = 0xc5 - 0xa1 + 94; // "Å": FAST+ numbers the visible bytes in order, 94 of them below 0xa1
    const cases: [ArrayLike<number>, string][] = [
      [ids, "ok"],
      [cut, "wrong-count"],
      [[], "wrong-count"],
      [[...ids, 2048], "out-of-vocabulary"],
      [[...ids, -1], "out-of-vocabulary"],
      [[...ids, 1.5], "out-of-vocabulary"],
      [[...ids, Number.NaN], "out-of-vocabulary"],
      [[firstByte], "malformed"],
    ];
    for (const [list, status] of cases) {
      const result = tokenizer.decode(list, { ...shape, onError: "status" });
      expect(result.status).toBe(status);
      if (status === "ok") continue;
      expect(result.actions).toBeNull();
      expect(codeOf(() => tokenizer.decode(list, shape))).toBe(`fast/${status}`);
      const padded = tokenizer.decode(list, { ...shape, onError: "zeros" });
      expect(padded.status).toBe(status);
      expect(padded.actions.data.every((value) => value === 0)).toBe(true);
      expect(padded.actions.shape).toEqual([16, 2]);
    }
  });

  test("U+FFFD is a failure on both sides", () => {
    expect(codeOf(() => tokenizer.encodeCoefficients([0xfffd - 354]))).toBe("fast/unencodable");
    // Visible bytes have ids from 94 on in order: U+FFFD is EF BF BD.
    const bytes = [0xef, 0xbf, 0xbd].map((byte) => byte - 0xae + 106);
    expect(tokenizer.decode(bytes, { horizon: 1, dim: 1, onError: "status" }).status).toBe("malformed");
  });

  test("decode needs a shape", () => {
    for (const shape of [
      {},
      { horizon: 0, dim: 1 },
      { horizon: 1.5, dim: 2 },
      { horizon: 1 << 20, dim: 1 << 20 },
    ]) {
      expect(codeOf(() => tokenizer.decode([1], shape))).toBe("fast/shape");
    }
    const { tokenizer: json, config } = tokenizer.files;
    const fixed = new FastActionTokenizer({
      tokenizer: json,
      config: { ...config, time_horizon: 16, action_dim: 2 },
    });
    expect(fixed.decode(fixed.encode(zeros())).actions.shape).toEqual([16, 2]);
  });

  test("a configuration says what is wrong with it", () => {
    const { tokenizer: json } = tokenizer.files;
    for (const config of [null, [], {}, { scale: 0, min_token: 0 }, { scale: 10, min_token: 0.5 }]) {
      expect(codeOf(() => new FastActionTokenizer({ tokenizer: json, config }))).toBe("fast/config");
    }
    expect(() => new FastActionTokenizer({ tokenizer: json, config: { scale: "10", min_token: 0 } })).toThrow(
      'processor_config.json: scale: expected a number above 0, found "10"',
    );
  });

  test("files beyond byte-level BPE go through the library, unless integers are asked for", () => {
    const { tokenizer: json, config } = tokenizer.files;
    const files = { tokenizer: { ...(json as object), normalizer: { type: "NFC" } }, config };
    const other = new FastActionTokenizer(files);
    expect(other.bpe).toBe("reference");
    expect(other.encode(zeros())).toEqual(tokenizer.encode(zeros()));
    expect(() => new FastActionTokenizer(files, { bpe: "integer" })).toThrow(/cannot follow its normalizer/);
  });
});
