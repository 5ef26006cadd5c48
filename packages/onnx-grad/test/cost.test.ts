import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { executed, type Step } from "../src/cost/executed.js";
import { assignBuffers } from "../src/cost/memory.js";
import { executionOrder } from "../src/cost/order.js";
import {
  add,
  cost,
  createGraph,
  expand,
  type Graph,
  input,
  matmul,
  matrixTranspose,
  mul,
  reduceSum,
  reshape,
  sigmoid,
  split,
  transpose,
  type Value,
} from "../src/index.js";

const f32 = (graph: Graph, name: string, ...shape: number[]) => input(graph, name, "float32", shape);

describe("arithmetic", () => {
  test("a product is 2·m·n·k, batched or not", () => {
    const graph = createGraph();
    const y = matmul(f32(graph, "a", 5, 3, 7), f32(graph, "w", 7, 11));
    const z = matmul(f32(graph, "q", 5, 2, 4), matrixTranspose(f32(graph, "k", 5, 6, 4)));
    expect(cost(graph, [y]).matmulFlops).toBe(2 * 15 * 11 * 7);
    expect(cost(graph, [z])).toMatchObject({ matmulFlops: 2 * 5 * 2 * 6 * 4, otherFlops: 0, steps: 1 });
  });

  test("elementwise work, traffic, and the ends of the graph", () => {
    const graph = createGraph();
    const [a, b] = [f32(graph, "a", 4, 8), f32(graph, "b", 8)];
    f32(graph, "unused", 1000);
    const sum = reduceSum(mul(a, b), [1]);
    expect(cost(graph, [sum])).toMatchObject({
      otherFlops: 32 + 32,
      bytesRead: (32 + 8) * 4 + 32 * 4 + 8, // the axes are an int64
      bytesWritten: 32 * 4 + 16,
      inputBytes: (32 + 8) * 4,
      outputBytes: 16,
      constantBytes: 8,
    });
  });

  test("elements count with the width of their type", () => {
    const peak = (dtype: "float32" | "bfloat16") => {
      const graph = createGraph();
      const x = input(graph, "x", dtype, [1024, 1024]);
      return cost(graph, [reduceSum(mul(x, x), [0, 1])]).peak.bytes;
    };
    expect(peak("float32")).toBe(4 * 2 ** 20);
    expect(peak("bfloat16")).toBe(2 * 2 ** 20);
  });

  test("what depends on constants alone is one", () => {
    const graph = createGraph();
    const zeros = expand(reshape(split(f32(graph, "x", 2, 2), [1, 1], 0)[0]!, [2]), [64, 2]);
    expect(cost(graph, [zeros]).steps).toBe(3);
    const one = createGraph();
    const x = f32(one, "x", 64);
    const fixed = expand(reshape(reduceSum(mul(x, 0), [0]), [1]), [64]);
    expect(cost(one, [add(x, fixed)]).constantBytes).toBeLessThan(64);
  });
});

describe("memory", () => {
  const kilobyte = (graph: Graph, name: string) => f32(graph, name, 16, 16);

  test("a chain needs two values at a time, sigmoid only one", () => {
    const graph = createGraph();
    const x = kilobyte(graph, "x");
    const doubled = [1, 2, 3, 4].reduce((v) => mul(v, 2), x);
    expect(cost(graph, [mul(doubled, 2)]).peak.bytes).toBe(2048);
    const inPlace = [1, 2, 3, 4].reduce((v) => sigmoid(v), mul(x, 2));
    expect(cost(graph, [mul(inPlace, 2)]).peak.bytes).toBe(1024);
  });

  test("a view holds what it is a view of; inputs and outputs are not intermediate", () => {
    const graph = createGraph();
    const x = kilobyte(graph, "x");
    const y = reshape(mul(x, 2), [256]);
    expect(cost(graph, [reshape(mul(y, y), [16, 16])]).peak.bytes).toBe(2048);
    expect(cost(graph, [add(reshape(x, [256]), 1)]).peak.bytes).toBe(0);
  });

  test("a transpose of a transpose is none, and products take the rest over", () => {
    const graph = createGraph();
    const w = f32(graph, "w", 64, 32);
    const t = matrixTranspose(w);
    const y = matmul(matmul(f32(graph, "x", 8, 32), t), matrixTranspose(t));
    expect(cost(graph, [y])).toMatchObject({ steps: 2 });
    expect(cost(graph, [transpose(f32(graph, "z", 2, 3, 4), [2, 1, 0])]).steps).toBe(1);
  });
});

/** Random operators over earlier values: chains, forks, views, several results. */
const random = fc
  .array(fc.record({ op: fc.nat(7), a: fc.nat(), b: fc.nat(), keep: fc.integer({ min: 0, max: 5 }) }), {
    minLength: 1,
    maxLength: 60,
  })
  .map((picks) => {
    const graph = createGraph();
    const values: Value[] = [f32(graph, "x", 12, 12), f32(graph, "y", 12, 12)];
    const outputs: Value[] = [];
    for (const { op, a, b, keep } of picks) {
      const x = values[a % values.length]!;
      const y = values[b % values.length]!;
      const flat = (v: Value) => reshape(v, [12, 12]);
      const made = [
        () => [add(flat(x), flat(y))],
        () => [mul(x, 3)],
        () => [sigmoid(x)],
        () => [reshape(x, x.shape.length === 2 ? [144] : [12, 12])],
        () => [matmul(flat(x), matrixTranspose(flat(y)))],
        () => [matrixTranspose(flat(x))],
        () => [mul(flat(x), reduceSum(flat(y), [1], true))],
        () =>
          split(flat(x), [5, 7], 0).map((part) =>
            reshape(expand(reduceSum(part, [0], true), [12, 12]), [12, 12]),
          ),
      ][op]!();
      values.push(...made);
      if (keep === 0) outputs.push(made[0]!);
    }
    outputs.push(values.at(-1)!);
    return { graph, outputs: [...new Set(outputs)].filter((v) => v.producer) };
  });

test("every step runs once, after what it reads", () => {
  fc.assert(
    fc.property(random, ({ graph, outputs }) => {
      const parts = executed(graph, outputs);
      const order = executionOrder(parts);
      expect(new Set(order)).toEqual(new Set(parts.steps));
      expect(order.length).toBe(parts.steps.length);
      const known = new Set<Value>([...parts.inputs, ...parts.constants]);
      for (const step of order) {
        for (const x of step.inputs) expect(known.has(x)).toBe(true);
        for (const y of step.outputs) known.add(y);
      }
      for (const y of parts.outputs) expect(known.has(y)).toBe(true);
    }),
  );
});

/**
 * Execute with memory: each buffer holds one value's content at a time, by name, and a kernel checks what it reads.
 * An overwritten or given-back buffer is seen here as wrong content, and the bytes are counted as they come and go.
 */
function runWithMemory(order: readonly Step[], parts: ReturnType<typeof executed>): number {
  const buffers = assignBuffers(parts, order);
  const home = new Map(buffers.flatMap((b) => b.values.map((v) => [v, b] as const)));
  const content = new Map<(typeof buffers)[number], Set<Value>>();
  let most = 0;
  order.forEach((step, at) => {
    for (const b of buffers) if (b.start === at) content.set(b, new Set());
    for (const x of step.inputs) {
      const b = home.get(x);
      if (b) expect(content.get(b)?.has(x)).toBe(true);
    }
    for (const y of step.outputs) {
      const b = home.get(y);
      if (!b) continue;
      const held = content.get(b)!;
      if (step.node.rule.type !== "Reshape") {
        // Written while the inputs are read: only a kernel that may work in place shares with its input.
        if (step.inputs.some((x) => held.has(x))) expect(step.node.rule.type).toBe("Sigmoid");
        held.clear();
      }
      held.add(y);
    }
    most = Math.max(
      most,
      [...content.keys()].reduce((sum, b) => sum + b.bytes, 0),
    );
    for (const b of buffers) if (b.end === at) content.delete(b);
  });
  expect(content.size).toBe(0);
  return most;
}

test("no value is overwritten or given back before its last reader, and the peak is what is held", () => {
  fc.assert(
    fc.property(random, ({ graph, outputs }) => {
      const parts = executed(graph, outputs);
      expect(cost(graph, outputs).peak.bytes).toBe(runWithMemory(executionOrder(parts), parts));
    }),
  );
});
