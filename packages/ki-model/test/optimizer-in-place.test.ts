import * as grad from "@insula/onnx-grad";
import { afterEach, expect, test, vi } from "vitest";
import { buildOptimizer, DEFAULT_OPTIMIZER } from "../src/index.js";

// The real check, watched.
vi.mock("@insula/onnx-grad", async (original) => {
  const real = await original<typeof grad>();
  return { ...real, assertInPlace: vi.fn(real.assertInPlace) };
});
const check = vi.mocked(grad.assertInPlace);
afterEach(() => void check.mockClear());

const params = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    name: `p${i}`,
    path: `layer${i}/kernel`,
    shape: [4, 3],
    group: i % 2 ? ("expert" as const) : ("vlm" as const),
  }));

for (const emaDecay of [0.99, null]) {
  test(`every result that replaces an input is checked to be safe in place, emaDecay ${emaDecay}`, () => {
    const { graph, outputs } = buildOptimizer(params(3), { ...DEFAULT_OPTIMIZER, emaDecay });
    expect(check).toHaveBeenCalledOnce();
    const [, , pairs] = check.mock.calls[0]!;
    const replacing = [...outputs.keys()].filter((name) => name.startsWith("new/"));
    expect(replacing).toHaveLength(emaDecay === null ? 9 : 12);
    expect([...pairs].map(([name, value]) => [name, value.name])).toEqual(
      replacing.map((name) => [name, name.slice("new/".length)]),
    );
    // One more reader of an old value, and the same pairs are refused.
    const old = graph.inputs.find(({ name }) => name === "mu/p1")!;
    const more = new Map([...outputs, ["late", grad.sumAll(old)]]);
    expect(() => grad.assertInPlace(graph, more, pairs)).toThrow(
      "'new/mu/p1' cannot be written over input 'mu/p1'",
    );
  });
}

test("the check of 2000 parameters takes less than half a second", () => {
  buildOptimizer(params(2000), DEFAULT_OPTIMIZER);
  const args = check.mock.calls[0]!;
  const times = [0, 1, 2].map(() => {
    const start = performance.now();
    grad.assertInPlace(...args);
    return performance.now() - start;
  });
  expect(Math.min(...times)).toBeLessThan(500);
});
