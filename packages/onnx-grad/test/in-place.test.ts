import fc from "fast-check";
import { expect, test } from "vitest";
import {
  add,
  ancestors,
  assertInPlace,
  createGraph,
  exp,
  type Graph,
  GraphError,
  input,
  matmul,
  mul,
  reshape,
  stopGradient,
  sub,
  sumAll,
  type Value,
} from "../src/index.js";

function setup(shape: readonly number[] = [2, 2]): { graph: Graph; w: Value; g: Value } {
  const graph = createGraph();
  return { graph, w: input(graph, "w", "float32", shape), g: input(graph, "g", "float32", shape) };
}

const code = (f: () => unknown): string | undefined => {
  try {
    f();
  } catch (error) {
    expect(error).toBeInstanceOf(GraphError);
    return (error as GraphError).code;
  }
  return undefined;
};

test("an update that reads the old value twice, one reader an ancestor of the other", () => {
  const { graph, w, g } = setup();
  const next = sub(w, mul(add(g, mul(w, 0.1)), 0.5));
  const outputs = new Map([
    ["new/w", next],
    ["norm", sumAll(mul(next, next))],
  ]);
  assertInPlace(graph, outputs, new Map([["new/w", w]]));
});

test("a reader that is no ancestor of the output is refused, and both are named", () => {
  const { graph, w, g } = setup();
  const next = sub(w, g);
  const late = mul(w, 3);
  const outputs = new Map([
    ["new/w", next],
    ["late", sumAll(late)],
  ]);
  const check = () => assertInPlace(graph, outputs, new Map([["new/w", w]]));
  expect(code(check)).toBe("graph/in-place");
  expect(check).toThrow(
    `assertInPlace: output 'new/w' cannot be written over input 'w': '${late.name}' reads that input and need not have run by then`,
  );
  outputs.delete("late"); // what no output needs does not run
  check();
});

test("readers behind an alias and behind a view count", () => {
  for (const hide of [
    stopGradient,
    (x: Value) => reshape(x, [4]),
    (x: Value) => reshape(stopGradient(x), [1, 4]),
  ]) {
    const { graph, w, g } = setup();
    const seen = hide(w);
    const next = sub(sub(w, sumAll(seen)), g); // the view itself is made before the output, its other reader need not be
    const late = exp(seen);
    const outputs = new Map([
      ["new/w", next],
      ["late", late],
    ]);
    expect(() => assertInPlace(graph, outputs, new Map([["new/w", w]]))).toThrow(
      `'${late.name}' reads that input`,
    );
    outputs.delete("late");
    assertInPlace(graph, outputs, new Map([["new/w", w]]));
  }
});

test("an alias as the output", () => {
  const { graph, w, g } = setup();
  assertInPlace(graph, new Map([["new/w", stopGradient(sub(w, g))]]), new Map([["new/w", w]]));
});

test("the node of the output reads the input only if it is elementwise", () => {
  const { graph, w, g } = setup();
  const next = matmul(w, g);
  expect(() => assertInPlace(graph, new Map([["new/w", next]]), new Map([["new/w", w]]))).toThrow(
    "MatMul is not elementwise",
  );
});

test("an input that is an output as well is refused, unless it stays as it is", () => {
  const { graph, w, g } = setup();
  const pairs = new Map([["new/w", w]]);
  const outputs = new Map([
    ["new/w", sub(w, g)],
    ["old/w", stopGradient(w)],
  ]);
  expect(() => assertInPlace(graph, outputs, pairs)).toThrow("output 'old/w' is that input");
  outputs.set("new/w", w);
  assertInPlace(graph, outputs, pairs);
});

test("pairs that cannot be", () => {
  const { graph, w, g } = setup();
  const next = sub(w, g);
  const outputs = new Map([
    ["new/w", next],
    ["other", exp(next)],
    ["norm", sumAll(next)],
  ]);
  const wrong: [Map<string, Value>, string][] = [
    [new Map([["nonsense", w]]), "there is no such output"],
    [new Map([["new/w", next]]), "it is not an input of the graph"],
    [new Map([["norm", w]]), "expected float32[2, 2], found float32[]"],
    [
      new Map([
        ["new/w", w],
        ["other", w],
      ]),
      "output 'new/w' is written there as well",
    ],
  ];
  for (const [pairs, message] of wrong) {
    expect(code(() => assertInPlace(graph, outputs, pairs))).toBe("graph/in-place");
    expect(() => assertInPlace(graph, outputs, pairs)).toThrow(message);
  }
});

test("random programs: the answer is that of the definition", () => {
  let refusals = 0;
  let accepted = 0;
  const step = fc.record({ a: fc.nat(), b: fc.nat(), detach: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), fc.nat(), fc.nat(), (steps, from, extra) => {
      const { graph, w, g } = setup([3]);
      const values = [w, g];
      for (const { a, b, detach } of steps) {
        const y = add(values[a % values.length]!, values[b % values.length]!);
        values.push(detach ? stopGradient(y) : y);
      }
      const made = values.slice(2);
      const next = made[from % made.length]!;
      const outputs = new Map([
        ["new/w", next],
        ["extra", made[extra % made.length]!],
      ]);
      const live = ancestors(outputs.values());
      const before = ancestors([next]);
      const allowed = graph.nodes
        .filter(({ outputs: ys }) => ys.some((y) => live.has(y)))
        .filter(({ inputs }) => inputs.includes(w))
        .every(({ outputs: ys }) => ys.some((y) => before.has(y)));
      expect(code(() => assertInPlace(graph, outputs, new Map([["new/w", w]])))).toBe(
        allowed ? undefined : "graph/in-place",
      );
      if (allowed) accepted++;
      else refusals++;
    }),
    { numRuns: 500 },
  );
  expect(Math.min(refusals, accepted)).toBeGreaterThan(20);
});
