import { readFileSync } from "node:fs";
import type { NdArray } from "@insula/model-types";
import { sizeOf } from "@insula/model-types";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  FSQTokenizer,
  FsqActionTokenizer,
  type FsqConfig,
  fsqParamShapes,
  makeByteTokenizer,
} from "../src/index.js";
import { errorOf } from "./error-of.js";

/** What `fsq/generate.py` made with openpi's module. */
interface Fixture {
  config: FsqConfig;
  shapes: Record<string, number[]>;
  /** `[chunks, horizon, dim]`, and so on. */
  actions: number[][][];
  z: number[][][];
  ids: number[][];
  decoded: number[][][];
  other: { ids: number[][]; decoded: number[][][] };
}

const fixtures: Record<string, Fixture> = JSON.parse(
  readFileSync(new URL("fsq/fixtures.json", import.meta.url), "utf8"),
);

function crc32(text: string): number {
  let crc = -1;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** `weights` of `fsq/generate.py`. */
function weights(name: string, shape: readonly number[]): NdArray<Float32Array> {
  const seed = crc32(name);
  const inputs = name.endsWith("out/kernel") ? sizeOf(shape.slice(0, -1)) : shape[0]!;
  const data = Float32Array.from({ length: sizeOf(shape) }, (_, i) => {
    let h = Math.imul(i ^ seed, 0x9e3779b1);
    h = Math.imul(h ^ (h >>> 15), 0x85ebca77);
    const u = ((h ^ (h >>> 13)) >>> 0) / 2 ** 31 - 1;
    if (name.endsWith("kernel")) return (u * (name.includes("proj_down") ? 0.4 : 2)) / Math.sqrt(inputs);
    return name.endsWith("scale") ? 1 + 0.5 * u : u;
  });
  return { data, shape: [...shape] };
}

const paramsOf = (config: FsqConfig): Map<string, NdArray> =>
  new Map([...fsqParamShapes(config)].map(([name, shape]) => [name, weights(name, shape)]));

const tokenizerOf = (config: FsqConfig) => new FsqActionTokenizer({ config, params: paramsOf(config) });

const chunk = (rows: number[][]): NdArray<Float32Array> => ({
  data: Float32Array.from(rows.flat()),
  shape: [rows.length, rows[0]!.length],
});

function largestError(found: ArrayLike<number>, expected: number[][]): number {
  const flat = expected.flat();
  expect(found).toHaveLength(flat.length);
  return Math.max(...flat.map((x, i) => Math.abs(x - found[i]!)));
}

describe.each(Object.keys(fixtures))("against openpi: %s", (name) => {
  const { config, shapes, actions, z, ids, decoded, other } = fixtures[name]!;
  const tokenizer = tokenizerOf(config);

  test("the weights are flax's", () => {
    expect(Object.fromEntries([...fsqParamShapes(config)].sort())).toEqual(shapes);
  });

  test("actions to ids", () => {
    expect(new Set(ids.flat()).size).toBeGreaterThan(10);
    for (const [i, rows] of actions.entries()) {
      expect(largestError(tokenizer.places(chunk(rows)).data, z[i]!)).toBeLessThan(2e-5);
      expect([...tokenizer.encode(chunk(rows))]).toEqual(ids[i]);
    }
  });

  test("ids to actions", () => {
    const largest = Math.max(...decoded.flat(2).map(Math.abs));
    for (const [i, tokens] of [...ids, ...other.ids].entries()) {
      const found = tokenizer.decode(tokens).actions;
      expect(found.shape).toEqual([config.data_horizon, config.data_dim]);
      const error = largestError(found.data, [...decoded, ...other.decoded][i]!);
      expect(error / largest).toBeLessThan(1e-4);
    }
  });
});

describe("a small one", () => {
  const config: FsqConfig = {
    ...{ embed_dim: 64, data_dim: 2, data_horizon: 4, num_tokens: 3, num_layers: 1 },
    ...{ target_codebook_size: 256, bound: 1 },
  };
  const fsq = tokenizerOf(config);
  const text = makeByteTokenizer({ pieces: ["Task: ", ", State: ", "Action: "] });
  const vocabSize = text.vocabSize + 128 + 256;
  const tokenizer = new FSQTokenizer(60, { text, fsq, vocabSize });
  const shape = { horizon: 4, dim: 2 };

  test("ids are in the vocabulary, and a sequence holds what its ids mean", () => {
    const values = fc.array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(values, (numbers) => {
        const actions = { data: Float64Array.from(numbers), shape: [4, 2] };
        const ids = fsq.encode(actions);
        expect(ids).toHaveLength(3);
        for (const id of ids) expect(id >= 0 && id < 256).toBe(true);
        const clipped = { data: actions.data.map((x) => Math.min(Math.max(x, -1), 1)), shape: [4, 2] };
        expect(fsq.encode(clipped)).toEqual(ids);
        const row = tokenizer.tokenize("x", [0], actions);
        expect(tokenizer.extractActions(row.tokens, shape)).toEqual({ ...fsq.decode(ids), status: "ok" });
      }),
      { numRuns: 40 },
    );
  });

  test("every id is a place of its own", () => {
    const firsts = Array.from({ length: 256 }, (_, id) => fsq.decode([id, 0, 0]).actions.data.join());
    expect(new Set(firsts).size).toBe(256);
  });

  test("generated tokens that hold no actions", () => {
    const row = (id: number): number => vocabSize - 1 - 128 - id;
    const generated = (...tokens: number[]) => [...text.encode("Action: "), ...tokens, ...text.encode("|")];
    const extract = (tokens: number[]) => errorOf(() => tokenizer.extractActions(tokens, shape));
    expect(extract(generated(row(0), row(255), row(7)))).toBe("none");
    expect(extract([5])).toBe('fast/no-action: FSQTokenizer: no "Action: " in 1 tokens');
    expect(extract(generated(row(0), row(1)))).toBe(
      "fast/wrong-count: FSQTokenizer: 2 action tokens, expected 3",
    );
    expect(extract(generated(row(0), row(256), row(1)))).toBe(
      `fast/foreign-token: FSQTokenizer: token ${row(256)} at 1 of the actions is no action token`,
    );
    expect(errorOf(() => tokenizer.extractActions(generated(), { horizon: 5, dim: 2 }))).toMatch(
      /^fast\/wrong-count/,
    );
    const zeros = tokenizer.extractActions([5], { ...shape, onError: "zeros" });
    expect(zeros).toMatchObject({
      status: "no-action",
      actions: { data: new Float64Array(8), shape: [4, 2] },
    });
    const three = generated(row(0), row(1), row(2));
    expect(errorOf(() => tokenizer.extractActions(three, { horizon: 5, dim: 2 }))).toBe(
      "fast/shape: fsq: expected a chunk [4, 2], which this tokenizer was trained on, found [5, 2]",
    );
  });

  test("chunks and ids that do not fit", () => {
    const zeros = (...size: number[]) => ({ data: new Float32Array(sizeOf(size)), shape: size });
    expect(errorOf(() => fsq.encode(zeros(4, 3)))).toBe(
      "fast/shape: fsq: expected a chunk [4, 2], which this tokenizer was trained on, found [4, 3]",
    );
    const broken = zeros(4, 2);
    broken.data[5] = Number.NaN;
    expect(errorOf(() => fsq.encode(broken))).toBe("fast/not-finite: fsq: actions[2, 1] is NaN");
    expect(errorOf(() => fsq.decode([1, 2]))).toBe("fast/wrong-count: fsq: 2 ids, expected 3");
    expect(errorOf(() => fsq.decode([1, 256, 2]))).toBe(
      "fast/out-of-vocabulary: fsq: id 256 at 1 is not in the vocabulary (0…255)",
    );
  });

  test.each([
    [{ embed_dim: 0 }, "embed_dim: expected a whole number from 1 to 16384, found 0"],
    [
      { embed_dim: 62 },
      "embed_dim: expected an even number that its floor(embed_dim / 64) heads divide, found 62",
    ],
    [{ embed_dim: 130 }, "none"],
    [
      { embed_dim: 194 },
      "embed_dim: expected an even number that its floor(embed_dim / 64) heads divide, found 194",
    ],
    [{ num_tokens: undefined }, "num_tokens: expected a whole number from 1 to 16384, found none"],
    [
      { target_codebook_size: 300 },
      "target_codebook_size: expected one of 256, 1024, 4096, 16384, 65536, found 300",
    ],
    [{ causal: "yes" }, 'causal: expected true or false, found "yes"'],
    [{ mlp_ratio: -1 }, "mlp_ratio: expected a number above 0, found -1"],
    [{ bound: 0 }, "bound: expected null or a number above 0, found 0"],
    [
      { use_state_conditioning: true },
      "use_state_conditioning: expected false: nothing gives these tokenizers a state, found true",
    ],
  ])("a configuration with %j", (change, message) => {
    const expected = message === "none" ? message : `fast/fsq-config: fsq: ${message}`;
    expect(errorOf(() => fsqParamShapes({ ...config, ...change } as FsqConfig))).toBe(expected);
  });

  test("weights that are not those of the configuration", () => {
    const wrong = (change: (params: Map<string, NdArray>) => void): string => {
      const params = paramsOf(config);
      change(params);
      return errorOf(() => new FsqActionTokenizer({ config, params }));
    };
    expect(wrong((p) => p.delete("out_scale"))).toBe(
      "fast/fsq-params: fsq: out_scale: expected [], found none",
    );
    expect(wrong((p) => p.set("proj/kernel", weights("proj/kernel", [64, 2])))).toBe(
      "fast/fsq-params: fsq: proj/kernel: expected [2,64], found [64,2]",
    );
    expect(wrong((p) => p.set("encoder/state_proj/bias", weights("x", [64])))).toBe(
      "fast/fsq-params: fsq: encoder/state_proj/bias: expected no such tensor for this configuration, found one",
    );
    expect(wrong((p) => (p.get("proj/bias")!.data[3] = Number.NaN))).toBe(
      "fast/fsq-params: fsq: proj/bias: expected finite numbers, found NaN at 3",
    );
    expect(errorOf(() => new FsqActionTokenizer({ config: 3 as never, params: {} }))).toBe(
      "fast/fsq-config: fsq: config: expected an object, found 3",
    );
  });
});
