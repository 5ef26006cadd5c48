import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as api from "../src/index.js";
import { DIFFERENTIABLE, instantiate, NO_GRADIENT } from "./cases.js";
import { evaluate } from "./evaluate.js";
import { expectGradients } from "./finite-difference.js";

const seed = fc.integer();

describe("gradients equal central differences", () => {
  for (const [name, cases] of Object.entries(DIFFERENTIABLE)) {
    test(name, () => {
      let passed = 0;
      fc.assert(
        fc.property(cases, seed, (example, s) => {
          const { inputs, loss, feeds } = instantiate(example, s);
          const floats = inputs.filter((x) => api.isFloat(x.dtype));
          const grads = expectGradients(loss, floats, feeds);
          if (grads.some((v) => v !== undefined)) passed++;
        }),
        { numRuns: 60 },
      );
      expect(passed).toBeGreaterThan(0);
    });
  }
});

describe("no gradient", () => {
  for (const [name, cases] of Object.entries(NO_GRADIENT)) {
    test(name, () => {
      fc.assert(
        fc.property(cases, seed, (example, s) => {
          const { inputs, loss, feeds } = instantiate(example, s);
          expect(api.grad(loss, inputs)).toEqual(inputs.map(() => undefined));
          evaluate([loss], feeds);
        }),
        { numRuns: 30 },
      );
    });
  }
});

test("every exported operator is in exactly one list", () => {
  const others = [
    ...["GraphError", "IR_VERSION", "OPSET", "addNode", "addOp", "ancestors", "assertInPlace", "constant"],
    ...["DTYPE_BYTES", "byteSize", "cost"],
    ...[
      "createGraph",
      "executedInputs",
      "grad",
      "input",
      "isFloat",
      "resolveAlias",
      "scalar",
      "serialize",
      "withScope",
    ],
  ];
  const listed = [...Object.keys(DIFFERENTIABLE), ...Object.keys(NO_GRADIENT), ...others];
  expect(listed.toSorted()).toEqual(Object.keys(api).toSorted());
});

test("gradients are graphs too: the gradient of a gradient", () => {
  const { add, cumSum, geluTanh, grad, layerNorm, logSoftmax, matmul, mul, rmsNormalize, softmax, sumAll } =
    api;
  const blocks: Record<string, (x: api.Value, w: api.Value) => api.Value> = {
    attention: (x, w) => matmul(softmax(matmul(x, w)), x),
    mlp: (x, w) => geluTanh(matmul(rmsNormalize(x, 1e-1), w)),
    norm: (x, w) => layerNorm(x, sumRows(w), sumRows(w), 1e-1),
    scan: (x, w) => cumSum(logSoftmax(add(x, sumRows(w))), 0),
  };
  const sumRows = (w: api.Value) => api.reduceSum(w, [0]);
  for (const block of Object.values(blocks)) {
    const { graph, inputs, loss, feeds } = instantiate(
      {
        inputs: [
          { shape: [3, 3], kind: "real" },
          { shape: [3, 3], kind: "real" },
        ],
        build: block,
      },
      7,
    );
    const squares = grad(loss, inputs).map((dx) => sumAll(mul(dx!, dx!)));
    expect(graph.nodes.length).toBeGreaterThan(0);
    expectGradients(add(squares[0]!, squares[1]!), inputs, feeds, { rtol: 1e-6, atol: 1e-8 });
  }
});
