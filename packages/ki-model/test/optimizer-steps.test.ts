import { serialize } from "@insula/onnx-grad";
import { createSession, type Tensor, tensor } from "@insula/ort-session";
import fc from "fast-check";
import { expect, test } from "vitest";
import { buildArtifact, buildOptimizer, DEFAULT_OPTIMIZER, type OptimizerOptions } from "../src/index.js";
import { testConfig } from "./fixtures.js";

const PARAMS = [
  { name: "a", path: "a/kernel", shape: [2, 3], group: "vlm" as const },
  { name: "b", path: "b/bias", shape: [4], group: "expert" as const },
];

/** One update of random state from `seed`; `edit` changes the feeds first. */
async function update(
  options: Partial<OptimizerOptions>,
  edit: (feeds: Record<string, Tensor>) => void = () => {},
) {
  const { graph, outputs } = buildOptimizer(PARAMS, { ...DEFAULT_OPTIMIZER, ...options });
  const { bytes, inputs } = serialize(graph, outputs);
  const session = await createSession(bytes);
  let seed = 1;
  const draw = () => {
    seed = (seed * 48271) % 2147483647;
    return seed / 2147483647 - 0.5;
  };
  const feeds: Record<string, Tensor> = {};
  for (const { name, shape } of inputs) {
    const size = shape.reduce((n, d) => n * d, 1);
    const value = name.startsWith("nu/") ? () => draw() ** 2 : draw;
    feeds[name] = tensor(Float32Array.from({ length: size }, value), shape);
  }
  Object.assign(feeds, { lr: scalar(1e-2), step: scalar(3), loss: scalar(2.5) });
  edit(feeds);
  try {
    return { feeds, out: await session.run(feeds) };
  } finally {
    await session.release();
  }
}

const scalar = (x: number): Tensor => tensor(Float32Array.of(x), []);

test.each([Number.NaN, Number.POSITIVE_INFINITY, -Number.POSITIVE_INFINITY, 3e38])(
  "a gradient of %d changes nothing, bit by bit",
  async (bad) => {
    const { feeds, out } = await update({ weightDecay: 0.1 }, (f) => {
      f["grad/b"]!.data[2] = bad;
    });
    expect(Number.isFinite(Number(out["grad_norm"]!.data[0]))).toBe(false);
    const replaced = Object.keys(out).filter((name) => name.startsWith("new/"));
    expect(replaced).toHaveLength(8);
    for (const name of replaced) expect(out[name]!.data).toEqual(feeds[name.slice(4)]!.data);
  },
);

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
  "a loss of %d with a finite gradient changes nothing, bit by bit",
  async (bad) => {
    for (const lossScaling of [false, true]) {
      const { feeds, out } = await update({ weightDecay: 0.1, lossScaling }, (f) => {
        f["loss"] = scalar(bad);
      });
      expect(Number.isFinite(Number(out["grad_norm"]!.data[0]))).toBe(true);
      const replaced = Object.keys(out).filter((name) => name.startsWith("new/"));
      expect(replaced).toHaveLength(8);
      for (const name of replaced) expect(out[name]!.data).toEqual(feeds[name.slice(4)]!.data);
    }
  },
);

test("how large a finite loss is changes no bit", async () => {
  const { out } = await update({});
  for (const loss of [0, -3.4e38, 3.4028234663852886e38]) {
    const other = await update({}, (f) => {
      f["loss"] = scalar(loss);
    });
    expect(other.out).toEqual(out);
  }
});

test("scaled gradients and the scale give the step of the plain gradients", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 24 }), async (exponent) => {
      const plain = await update({});
      const scale = 2 ** exponent;
      const scaled = await update({ lossScaling: true }, (f) => {
        for (const { name } of PARAMS) {
          const { data, shape } = plain.feeds[`grad/${name}`]!;
          f[`grad/${name}`] = tensor(
            Float32Array.from(data as Float32Array, (g) => g * scale),
            shape,
          );
        }
        for (const [name, t] of Object.entries(plain.feeds)) if (!name.startsWith("grad/")) f[name] = t;
        f["loss_scale"] = scalar(scale);
      });
      for (const [name, { data }] of Object.entries(plain.out)) {
        // Powers of two: only what overflows or underflows could differ.
        expect(scaled.out[name]!.data, name).toEqual(data);
      }
    }),
    { numRuns: 10 },
  );
});

test.each([
  { b1: 0.9, b2: 0.95, eps: 1e-8 },
  { b1: 0.6, b2: 0.95, eps: 1e-8 },
  { b1: 0.9, b2: 0.7, eps: 1e-8 },
  { b1: 0.9, b2: 0.95, eps: 0.05 },
  { b1: 0, b2: 0.5, eps: 1 },
])("a step with %j is AdamW's as it is written down", async ({ b1, b2, eps }) => {
  const weightDecay = 0.1;
  const options = { b1, b2, eps, weightDecay, clipGradientNorm: 1e9, emaDecay: null };
  const { feeds, out } = await update(options);
  const numbers = (values: Record<string, Tensor>, name: string) => Array.from(values[name]!.data, Number);
  const [lr, t] = [1e-2, 3];
  for (const { name } of PARAMS) {
    const [p, g, m, v] = ["", "grad/", "mu/", "nu/"].map((prefix) => numbers(feeds, prefix + name)) as [
      number[],
      number[],
      number[],
      number[],
    ];
    const mu = g.map((x, i) => b1 * m[i]! + (1 - b1) * x);
    const nu = g.map((x, i) => b2 * v[i]! + (1 - b2) * x ** 2);
    const next = p.map((x, i) => {
      const direction = mu[i]! / (1 - b1 ** t) / (Math.sqrt(nu[i]! / (1 - b2 ** t)) + eps);
      return x - lr * (direction + weightDecay * x);
    });
    for (const [prefix, expected] of [
      ["", next],
      ["mu/", mu],
      ["nu/", nu],
    ] as const) {
      for (const [i, x] of numbers(out, `new/${prefix}${name}`).entries()) {
        expect(x, `${prefix}${name} ${i}`).toBeCloseTo(expected[i]!, 6);
      }
    }
  }
});

test("clipped by group, each is scaled by its own norm; jointly, both by one", async () => {
  const limit = 0.3;
  for (const clip of ["joint", "group"] as const) {
    const { feeds, out } = await update({ clip, clipGradientNorm: limit, b1: 0.9 }, (f) => {
      f["grad/a"] = tensor(Float32Array.of(0.3, 0.4, 0, 1.2, 0, 0), [2, 3]); // norm 1.3
      f["grad/b"] = tensor(Float32Array.of(0.12, 0.16, 0, 0), [4]); // norm 0.2: within the limit
    });
    const norms = { a: 1.3, b: 0.2 };
    const joint = Math.hypot(1.3, 0.2);
    expect(out["grad_norm"]!.data[0]).toBeCloseTo(joint, 6);
    for (const name of ["a", "b"] as const) {
      const factor = Math.min(1, limit / (clip === "joint" ? joint : norms[name]));
      const [g, mu, next] = [feeds[`grad/${name}`], feeds[`mu/${name}`], out[`new/mu/${name}`]].map((t) =>
        Array.from(t!.data, Number),
      ) as [number[], number[], number[]];
      next.forEach((m, i) => void expect(m).toBeCloseTo(0.9 * mu[i]! + 0.1 * factor * g[i]!, 7));
    }
  }
});

test("a group's gradient that is not finite stops both, however they are clipped", async () => {
  const { feeds, out } = await update({ clip: "group" }, (f) => {
    f["grad/b"]!.data[0] = Number.NaN;
  });
  expect(out["new/a"]!.data).toEqual(feeds["a"]!.data);
  expect(out["grad_norm_vlm"]!.data[0]).toBeGreaterThan(0);
});

test("masked parameters do not decay, all others do", async () => {
  const masked = await update({ weightDecay: 0.5, noWeightDecay: [".*/bias"] });
  const all = await update({ weightDecay: 0.5 });
  const none = await update({ weightDecay: 0 });
  expect(masked.out["new/b"]!.data).toEqual(none.out["new/b"]!.data);
  expect(masked.out["new/b"]!.data).not.toEqual(all.out["new/b"]!.data);
  expect(masked.out["new/a"]!.data).toEqual(all.out["new/a"]!.data);
  expect(masked.out["new/a"]!.data).not.toEqual(none.out["new/a"]!.data);
});

test("a mask that matches nothing, or is no pattern, is refused by name", () => {
  const build = (noWeightDecay: string[]) =>
    buildArtifact(testConfig(), { batchSize: 1, optimizer: { noWeightDecay } });
  expect(() => build([".*bias", "bias"])).toThrow(/^noWeightDecay: 'bias' matches none of the parameters/);
  expect(() => build(["("])).toThrow(/^noWeightDecay: '\(': Invalid regular expression/);
});

test("the formulas are optax's", async () => {
  const options = { b1: 0.9, b2: 0.95, eps: 1e-3, weightDecay: 0.2, clipGradientNorm: 0.5, emaDecay: 0.8 };
  const { feeds, out } = await update(options);
  const value = (name: string) => Array.from(feeds[name]!.data, Number);
  const norm = Math.sqrt([...value("grad/a"), ...value("grad/b")].reduce((s, g) => s + g * g, 0));
  expect(norm).toBeGreaterThan(options.clipGradientNorm);
  for (const { name } of PARAMS) {
    const [param, grad, mu, nu, ema] = [name, `grad/${name}`, `mu/${name}`, `nu/${name}`, `ema/${name}`].map(
      value,
    ) as [number[], number[], number[], number[], number[]];
    for (let i = 0; i < param.length; i++) {
      const g = (grad[i]! * options.clipGradientNorm) / norm;
      const m = 0.9 * mu[i]! + 0.1 * g;
      const n = 0.95 * nu[i]! + 0.05 * g * g;
      const direction = m / (1 - 0.9 ** 3) / (Math.sqrt(n / (1 - 0.95 ** 3)) + options.eps);
      const next = param[i]! - 1e-2 * (direction + options.weightDecay * param[i]!);
      expect(out[`new/mu/${name}`]!.data[i]).toBeCloseTo(m, 6);
      expect(out[`new/nu/${name}`]!.data[i]).toBeCloseTo(n, 6);
      expect(out[`new/${name}`]!.data[i]).toBeCloseTo(next, 6);
      expect(out[`new/ema/${name}`]!.data[i]).toBeCloseTo(0.8 * ema[i]! + 0.2 * next, 6);
    }
  }
});
