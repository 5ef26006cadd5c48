/**
 * @file Random programs: 3–8 operators, each reading any earlier value, some inside rematerialised blocks.
 * What single operators cannot show: gradients meeting at values that are used several times.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Value } from "../src/index.js";
import * as g from "../src/index.js";
import { feeder, type Kind, weighedSum } from "./cases.js";
import type { Dense } from "./evaluate.js";
import { expectGradients } from "./finite-difference.js";

/** What a step may use: the value it continues, another one, and fresh inputs. */
interface Context {
  x: Value;
  /** A value of the shape of `x`; `x` itself when there is no other. */
  like: Value;
  fresh(shape: readonly number[], kind?: Kind): Value;
}

/** Matrix to matrix. Squashed where a chain of them would grow without bound. */
const STEPS: Record<string, (c: Context) => Value> = {
  tanh: ({ x }) => g.tanh(x),
  sin: ({ x }) => g.sin(x),
  cos: ({ x }) => g.cos(x),
  silu: ({ x }) => g.silu(x),
  gelu: ({ x }) => g.geluTanh(x),
  power: ({ x }) => g.exp(g.tanh(x)),
  logarithm: ({ x }) => g.log(g.add(1, g.mul(x, x))),
  root: ({ x }) => g.sqrt(g.add(g.mul(x, x), 1)),
  residual: ({ x, like }) => g.add(x, g.neg(like)),
  gate: ({ x, like }) => g.mul(x, g.sigmoid(like)),
  quotient: ({ x, like }) => g.div(x, g.add(1.5, g.tanh(like))),
  bias: ({ x, fresh }) => g.add(x, fresh(x.shape.slice(1))),
  scale: ({ x, fresh }) => g.mul(fresh([x.shape[0]!, 1]), x),
  project: ({ x, fresh }) => g.matmul(x, fresh([x.shape[1]!, 3])),
  attend: ({ x, like }) => g.matmul(g.softmax(g.matmul(x, g.matrixTranspose(like))), like),
  heads: ({ x, fresh }) =>
    g.reduceSum(g.matmul(g.expand(x, [2, ...x.shape]), fresh([2, x.shape[1]!, 2])), [0]),
  softmax: ({ x }) => g.softmax(x),
  logSoftmax: ({ x }) => g.logSoftmax(x),
  layerNorm: ({ x, fresh }) => g.layerNorm(x, fresh(x.shape.slice(1)), fresh(x.shape.slice(1)), 1e-1),
  rms: ({ x }) => g.rmsNormalize(x, 1e-1),
  transpose: ({ x }) => g.matrixTranspose(x),
  reshape: ({ x }) => g.reshape(x, x.shape.toReversed()),
  join: ({ x, like }) => g.slice(g.concat([x, like, x], 0), 1, Math.min(4, 3 * x.shape[0]! - 1), 0),
  half: ({ x }) => (x.shape[1]! < 2 ? x : g.split(x, [1, x.shape[1]! - 1], 1)[1]!),
  scan: ({ x }) => g.cumSum(x, 0, { reverse: true }),
  rows: ({ x, fresh }) => g.gather(x, fresh([3], { below: x.shape[0]! })),
  centre: ({ x }) => g.sub(x, g.reduceMean(x, [-1], true)),
  select: ({ x, like, fresh }) => g.where(fresh([x.shape[1]!], "bool"), x, g.neg(like)),
  detached: ({ x, like }) => g.mul(x, g.tanh(g.stopGradient(like))),
  pool: ({ x, fresh }) => g.scatterAdd(fresh([2, x.shape[1]!]), fresh(x.shape, { below: 2 }), x, 0),
};

const program = fc.record({
  rows: fc.integer({ min: 1, max: 3 }),
  columns: fc.integer({ min: 1, max: 3 }),
  steps: fc.array(
    fc.record({
      name: fc.constantFrom(...Object.keys(STEPS)),
      // 0 continues the newest value.
      back: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(7) }),
      other: fc.nat(7),
      block: fc.boolean(),
    }),
    { minLength: 3, maxLength: 8 },
  ),
});

test("gradients of random programs equal central differences", () => {
  const covered = new Set<string>();
  fc.assert(
    fc.property(program, fc.integer(), ({ rows, columns, steps }, seed) => {
      const graph = g.createGraph();
      const feeds = new Map<Value, Dense>();
      const feed = feeder(graph, feeds, seed);
      const fresh: Context["fresh"] = (shape, kind = "real") => feed({ shape, kind });
      const values = [fresh([rows, columns])];
      for (const { name, back, other, block } of steps) {
        const x = values[Math.max(0, values.length - 1 - back)]!;
        const same = values.filter((v) => v !== x && v.shape.join() === x.shape.join());
        const like = same.length > 0 ? same[other % same.length]! : x;
        const step = () => STEPS[name]!({ x, like, fresh });
        values.push(block ? g.checkpoint(graph, name, step) : step());
        covered.add(name);
      }
      const loss = weighedSum([values.at(-1)!], feed);
      const floats = graph.inputs.filter((x) => g.isFloat(x.dtype));
      expectGradients(loss, floats, feeds, { rtol: 1e-6, atol: 1e-7 });
    }),
    { numRuns: 300 },
  );
  expect(covered).toEqual(new Set(Object.keys(STEPS)));
});
