import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  add,
  cast,
  constant,
  createGraph,
  type DType,
  grad,
  isFloat,
  layerNorm,
  meanAll,
  mul,
  type Value,
} from "../src/index.js";
import { DIFFERENTIABLE, instantiate, mulberry32, NO_GRADIENT } from "./cases.js";
import { type Dense, evaluate } from "./evaluate.js";
import { runValues } from "./runtime.js";

/** The same cases on every machine: a failure here may depend on the runtime's kernels. */
const SAMPLES = { numRuns: 8, seed: 20 };

describe("ONNX Runtime in float32 agrees with the evaluator, forward and backward", () => {
  for (const [name, cases] of Object.entries({ ...DIFFERENTIABLE, ...NO_GRADIENT })) {
    test(name, async () => {
      for (const [i, example] of fc.sample(cases, SAMPLES).entries()) {
        const { inputs, outputs, loss, feeds } = instantiate(example, i);
        const floats = inputs.filter((x) => isFloat(x.dtype));
        const grads = grad(loss, floats).filter((v) => v !== undefined);
        await expectAgreement([...outputs, loss, ...grads], feeds);
      }
    });
  }
});

async function expectAgreement(values: readonly Value[], feeds: ReadonlyMap<Value, Dense>): Promise<void> {
  const expected = evaluate(values, feeds);
  const found = await runValues(values, feeds);
  values.forEach((_, i) => {
    expect(found[i]!.shape).toEqual(expected[i]!.shape);
    expect(found[i]!.data).toBeAllclose(expected[i]!.data, { rtol: 1e-5, atol: 1e-6 });
  });
}

test("constants of every type arrive as they were given", async () => {
  const graph = createGraph();
  const exact: [DType, number[]][] = [
    ["float32", [1.5, -0.1, Number.POSITIVE_INFINITY].map(Math.fround)],
    ["float64", [1e-300, 0.1, Math.PI]],
    ["int32", [-(2 ** 31), 7, 2 ** 31 - 1]],
    ["int64", [-(2 ** 40), 3, 2 ** 40]],
    ["uint8", [0, 128, 255]],
    ["bool", [1, 0, 1]],
    ["float16", [65504, 1 + 2 ** -10, 2 ** -24]],
    ["bfloat16", [1 + 2 ** -7, -(2 ** 100), 2 ** -126]],
  ];
  const values = exact.map(([dtype, data]) => cast(constant(graph, data, [3], dtype), "float64"));
  const found = await runValues(values, new Map());
  exact.forEach(([, data], i) => {
    expect([...found[i]!.data]).toEqual(data);
  });
});

test("16-bit constants round to nearest, ties to even, as ONNX Runtime casts", async () => {
  const random = mulberry32(1);
  const numbers = [0, -0, 65519.99, 65520, 1e9, -1e9, 2 ** -25, 3 * 2 ** -25, 2 ** -14 * (1 - 2 ** -11)];
  for (let e = -26; e < 17; e++) {
    numbers.push(2 ** e * (1 + 2 ** -11), 2 ** e * (1 + 3 * 2 ** -11), (random() - 0.5) * 2 ** e);
    numbers.push(2 ** e * (1 + 2 ** -8), 2 ** e * (1 + 3 * 2 ** -8), 2 ** e * (2 - 2 ** -20));
  }
  const data = numbers.map(Math.fround);
  for (const dtype of ["float16", "bfloat16"] as const) {
    const graph = createGraph();
    const ours = cast(constant(graph, data, [data.length], dtype), "float32");
    const theirs = cast(cast(constant(graph, data, [data.length]), dtype), "float32");
    const [a, b] = await runValues([ours, theirs], new Map());
    expect(a!.data).toEqual(b!.data);
  }
});

test("a half-precision block trains: float16 layer norm and its gradients", async () => {
  const { inputs, loss, feeds } = instantiate(
    {
      inputs: [
        { shape: [3, 8], kind: "real" },
        { shape: [8], kind: "nonzero" },
        { shape: [8], kind: "real" },
      ],
      build: (...values) => {
        const [x, scale, bias] = values.map((v) => cast(v, "float16")) as [Value, Value, Value];
        const y = layerNorm(x, scale, bias, 1e-2);
        return cast(add(mul(y, 0.5), mul(y, y)), "float32");
      },
    },
    3,
  );
  const grads = grad(meanAll(loss), inputs).map((v) => v!);
  const expected = evaluate(grads, feeds);
  const found = await runValues(grads, feeds);
  grads.forEach((_, i) => {
    expect(found[i]!.data).toBeAllclose(expected[i]!.data, { rtol: 1e-2 });
  });
});
