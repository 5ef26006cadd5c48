import { readdirSync, readFileSync } from "node:fs";
import { InsulaError, type NdArray } from "@insula/model-types";
import { describeShared, sharedJson, sharedPath, sharedTensors } from "@insula/test-kit";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compose,
  findDegenerate,
  type NormStats,
  normalize,
  parseNormStats,
  requireSpread,
  serializeNormStats,
  unnormalize,
} from "../src/index.js";

const f64 = (...values: number[]): Float64Array => Float64Array.from(values);
const vec = (...values: number[]): NdArray<Float64Array> => ({
  data: f64(...values),
  shape: [values.length],
});
const stats: NormStats = { mean: f64(1, 2), std: f64(0.5, 4), q01: f64(-1, 0), q99: f64(3, 5) };

describeShared("apply", () => {
  const golden = sharedTensors("golden", "common", "normalize", "normalize.safetensors");
  const text = readFileSync(sharedPath("golden", "common", "normalize", "norm_stats_example.json"), "utf8");
  const { state } = parseNormStats(text);
  const leaf = (name: string): NdArray => golden.get(name)!;

  test.each([
    ["zscore", "x8"],
    ["zscore", "x5"],
    ["quantile", "x8"],
    ["quantile", "x5"],
  ])("normalize %s %s", (mode, width) => {
    const at = `apply/${mode}/${width}`;
    const out = normalize({ x: state! }, { useQuantiles: mode === "quantile" })({ x: leaf(`${at}/in`) });
    expect((out["x"] as NdArray).data).toBeAllclose(leaf(`${at}/normalized`).data, {
      rtol: 1e-12,
      scale: "element",
    });
  });

  test.each([
    ["zscore", "x8"],
    ["zscore", "x12"],
    ["quantile", "x8"],
    ["quantile", "x12"],
  ])("unnormalize %s %s", (mode, width) => {
    const at = `apply/${mode}/${width}`;
    const out = unnormalize(
      { x: state! },
      { useQuantiles: mode === "quantile" },
    )({ x: leaf(`${at}/unnorm_in`) });
    expect((out["x"] as NdArray).data).toBeAllclose(leaf(`${at}/unnormalized`).data, {
      rtol: 1e-12,
      scale: "element",
    });
  });

  test("the errors are those of the reference", () => {
    const { errors } = sharedJson<{ errors: Record<string, string> }>(
      "golden",
      "common",
      "normalize",
      "normalize.json",
    );
    expect(errors).toEqual({
      unnormalize_quantile_fewer_dims: "ValueError",
      unnormalize_missing_key_is_strict: "ValueError",
      normalize_missing_key_not_strict: "ignored",
      stats_of_nothing: "ValueError",
    });
    expect(() => unnormalize({ x: state! }, { useQuantiles: true })({ x: vec(1) })).toThrow(InsulaError);
    expect(() => unnormalize({ x: state! })({ y: vec(1) })).toThrow(InsulaError);
    expect(normalize({ x: state! })({ y: vec(1) })).toEqual({ y: vec(1) });
  });

  test("norm_stats.json is written byte for byte as it was read", () => {
    const files = ["norm_stats", "norm_stats_15hz", "norm_stats_h15_b32", "norm_stats_per_episode"].flatMap(
      (name) => [
        sharedPath("golden", "norm_stats_droid", `${name}.json`),
        sharedPath("golden", "norm_stats_droid", "numpy2.2.6", `${name}.json`),
      ],
    );
    for (const file of [sharedPath("golden", "common", "normalize", "norm_stats_example.json"), ...files]) {
      const original = readFileSync(file, "utf8");
      expect(serializeNormStats(parseNormStats(original, file))).toBe(original.trimEnd());
    }
  });

  test("statistics found in public repositories load, or say what they lack", () => {
    const folder = sharedPath("data", "norm_stats");
    for (const name of readdirSync(folder)) {
      const file = sharedPath("data", "norm_stats", name);
      const read = () => parseNormStats(readFileSync(file, "utf8"), name);
      if (name.includes("PARTIAL"))
        expect(read).toThrow(`${name}: state: 'mean' is missing (found q01, q99)`);
      else expect(Object.keys(read()).length).toBeGreaterThan(0);
    }
  });

  test("a wrist that hardly moves is reported", () => {
    const text = readFileSync(sharedPath("data", "norm_stats", "ur5e_zhekai_openpi.json"), "utf8");
    const found = findDegenerate(parseNormStats(text));
    expect(found.map(({ key, dim, measure }) => `${key}[${dim}] ${measure}`)).toEqual([
      "state[4] range",
      "actions[4] range",
      "actions[4] std",
    ]);
  });
});

describe("properties", () => {
  const number = fc.double({ min: -1e3, max: 1e3, noNaN: true });
  const dims = fc.array(
    fc.tuple(
      number,
      fc.double({ min: 0.1, max: 1e3, noNaN: true }),
      number,
      fc.double({ min: 0.1, max: 1e3, noNaN: true }),
    ),
    { minLength: 1, maxLength: 6 },
  );
  test.each(["zscore", "quantile", "minmax"] as const)(
    "unnormalize ∘ normalize is the identity: %s",
    (method) => {
      fc.assert(
        fc.property(dims, fc.array(number, { minLength: 6, maxLength: 60 }), (d, values) => {
          const s: NormStats = {
            mean: f64(...d.map((x) => x[0])),
            std: f64(...d.map((x) => x[1])),
            q01: f64(...d.map((x) => x[2])),
            q99: f64(...d.map((x) => x[2] + x[3])),
            min: f64(...d.map((x) => x[2] - 1)),
            max: f64(...d.map((x) => x[2] + x[3] + 1)),
          };
          const rows = Math.floor(values.length / d.length);
          const x = { data: f64(...values.slice(0, rows * d.length)), shape: [rows, d.length] };
          const there = compose([normalize({ x: s }, { method }), unnormalize({ x: s }, { method })]);
          expect((there({ x })["x"] as NdArray).data).toBeAllclose(x.data, { atol: 1e-9 });
        }),
      );
    },
  );
});

test("nothing is clipped, nothing mutated, other keys pass", () => {
  const x = vec(103, -100);
  const isPad = { data: Uint8Array.of(0, 1), shape: [2] };
  const sample = { state: x, actions_is_pad: isPad };
  const out = normalize({ state: stats }, { useQuantiles: true })(sample);
  expect((out["state"] as NdArray).data).toBeAllclose(
    [((103 + 1) / (4 + 1e-6)) * 2 - 1, (-100 / (5 + 1e-6)) * 2 - 1],
    { atol: 1e-12 },
  );
  expect(out["actions_is_pad"]).toBe(isPad);
  expect(sample.state).toEqual(vec(103, -100));
});

test("float32 data are normalised in float64", () => {
  const out = normalize({ state: stats })({ state: { data: Float32Array.of(0.1, 0.2), shape: [2] } });
  expect((out["state"] as NdArray).data).toEqual(
    f64((Math.fround(0.1) - 1) / (0.5 + 1e-6), (Math.fround(0.2) - 2) / (4 + 1e-6)),
  );
});

test("without statistics both are the identity", () => {
  const sample = { state: vec(1) };
  expect(normalize(undefined)(sample)).toBe(sample);
  expect(unnormalize(undefined)(sample)).toBe(sample);
});

test("nested keys are reached by their flat name", () => {
  const out = normalize({ "obs/state": stats })({ obs: { state: vec(1, 2), other: 3 } });
  expect(out).toEqual({ obs: { state: vec(0, 0), other: 3 } });
});

test("errors name key, place and remedy", () => {
  const { q01: _, ...noQuantiles } = stats;
  expect(() => normalize({ state: noQuantiles }, { useQuantiles: true })).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: normalize: quantile stats must be provided if useQuantiles is set: key 'state' has no q01; compute the statistics again, or use z-scores (useQuantiles: false)]`,
  );
  expect(() =>
    normalize({ state: stats }, { strict: true })({ stat: vec(1) }),
  ).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: normalize: missing key 'state', did you mean 'stat'? (available: stat)]`,
  );
  expect(() => normalize({ state: stats })({ state: vec(1, 2, 3) })).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: normalize: state: expected statistics of at least 3 dims for data of shape [3], found 2; they belong to another robot or action space]`,
  );
  expect(() => unnormalize({ state: stats })({ state: vec(1) })).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: unnormalize: state: expected statistics of at most 1 dims for data of shape [1], found 2; they belong to another robot or action space]`,
  );
  expect(() => normalize({ state: stats })({ state: "x" })).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: normalize: state: expected an array of at least one axis, found string]`,
  );
  expect(() =>
    normalize({ actions: stats })({ actions: { data: f64(1, 2, 3, Number.NaN), shape: [2, 2] } }),
  ).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: normalize: actions: found NaN at dim 1 of row 1 (shape [2, 2]); repair or drop this sample]`,
  );
});

test("norm_stats.json: bad files say where", () => {
  const parse = (text: string) => () => parseNormStats(text, "a/norm_stats.json");
  expect(parse("{")).toThrow("a/norm_stats.json: not JSON");
  expect(parse("[1]")).toThrow('expected {"norm_stats": {"state": …, "actions": …}}, found a list of 1');
  expect(parse('{"state": {}}')).toThrow("found an object with keys state");
  expect(parse('{"norm_stats": {"state": 3}}')).toThrow("state: expected an object, found 3");
  expect(parse('{"norm_stats": {"state": {"mean": [1]}}}')).toThrow("state: 'std' is missing (found mean)");
  expect(parse('{"norm_stats": {"state": {"mean": [1], "std": [1, 2]}}}')).toThrow(
    "state.std: expected 1 dims as in mean, found 2",
  );
  expect(parse('{"norm_stats": {"state": {"mean": [1, "x"], "std": [1, 2]}}}')).toThrow(
    'state.mean[1]: expected a finite number, found "x"',
  );
  expect(parse('{"norm_stats": {"state": {"mean": 1, "std": [1]}}}')).toThrow("state.mean: expected a list");
});

test("numbers are written as the reference writes them", () => {
  const mean = f64(0, 1, -2.5, 1e-5, 9.9e-6, -1e-10, 1e15, 1e16, 123456789.125);
  const text = serializeNormStats({ state: { mean, std: mean } });
  expect(
    text
      .match(/"mean": \[([^\]]*)\]/)![1]!
      .split(",")
      .map((s) => s.trim()),
  ).toEqual([
    "0.0",
    "1.0",
    "-2.5",
    "0.00001",
    "9.9e-6",
    "-1e-10",
    "1000000000000000.0",
    "1e16",
    "123456789.125",
  ]);
  expect(text).toContain('"q01": null');
  expect(() => serializeNormStats({ s: { mean: f64(Number.NaN), std: f64(1) } })).toThrow("cannot write NaN");
});

test("by extremes: the smallest to -1, the largest to 1, padding as it is", () => {
  const s: NormStats = { ...stats, min: f64(-2, 0), max: f64(2, 10) };
  const there = normalize({ x: s }, { method: "minmax" });
  expect((there({ x: vec(-2, 10) })["x"] as NdArray).data).toBeAllclose([-1, 1], { atol: 1e-6 });
  expect((there({ x: vec(0, 5) })["x"] as NdArray).data).toBeAllclose([0, 0], { atol: 1e-6 });
  const back = unnormalize({ x: s }, { method: "minmax" });
  expect((back({ x: vec(-1, 1, 0.5) })["x"] as NdArray).data).toBeAllclose([-2, 10, 0.5], { atol: 2e-5 });
  for (const make of [normalize, unnormalize]) {
    expect(() => make({ x: stats }, { method: "minmax" })).toThrow(
      "key 'x' has no min; compute the statistics with getStatistics(…, { minMax: true })",
    );
  }
  const text = serializeNormStats({ x: s });
  expect(parseNormStats(text)).toEqual({ x: s });
  expect(Object.keys(JSON.parse(text).norm_stats.x)).toEqual(["mean", "std", "q01", "q99", "min", "max"]);
});

test("a degenerate dimension can be an error that names it; only what the method divides by counts", () => {
  const s: NormStats = {
    mean: f64(0, 0),
    std: f64(1, 0),
    q01: f64(0, 1),
    q99: f64(0, 2),
    min: f64(0, 3),
    max: f64(1, 3),
  };
  const names = { x: ["shoulder", "gripper"] };
  const message = (method: "zscore" | "quantile" | "minmax"): string => {
    try {
      requireSpread({ x: s }, { method, names });
    } catch (error) {
      expect(error).toBeInstanceOf(InsulaError);
      expect((error as InsulaError).code).toBe("norm-stats/degenerate");
      return (error as InsulaError).message.split(". ")[0]!;
    }
    return "";
  };
  expect(message("zscore")).toBe("requireSpread: x[1] (gripper): std = 0, below 0.00025");
  expect(message("quantile")).toBe("requireSpread: x[0] (shoulder): q99 - q01 = 0 - 0 = 0, below 0.001");
  expect(message("minmax")).toBe("requireSpread: x[1] (gripper): max - min = 3 - 3 = 0, below 0.001");
  requireSpread({ state: stats });
  expect(() => normalize({ x: s }, { useQuantiles: true, onDegenerate: "error" })).toThrow("x[0]: q99 - q01");
  expect(normalize({ x: s }, { useQuantiles: true }).name).toBe("normalize");
});

test("degenerate dimensions are named", () => {
  const s: NormStats = { mean: f64(0, 0, 0), std: f64(1, 0, 1), q01: f64(0, 1, 0), q99: f64(1, 1, -1) };
  const found = findDegenerate({ state: s }, { names: { state: ["shoulder", "gripper"] } });
  expect(found.map((f) => f.message)).toMatchInlineSnapshot(`
    [
      "state[1] (gripper): q99 - q01 = 1 - 1 = 0, below 0.001",
      "state[1] (gripper): std = 0, below 0.00025",
      "state[2]: q99 - q01 = -1 - 0 = -1, below 0.001",
    ]
  `);
  expect(findDegenerate({ state: stats })).toEqual([]);
});
