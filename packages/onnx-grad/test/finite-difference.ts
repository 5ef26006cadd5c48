/**
 * @file Gradients by central differences in float64: the truth that the operators' own rules are held to.
 */
import { expect } from "vitest";
import { grad, type Value } from "../src/index.js";
import { type Dense, evaluate, evaluator } from "./evaluate.js";

/**
 * ∂loss/∂x for every element of every x of `wrt`: (L(x+h) − L(x−h)) / 2h. What stopGradient returns keeps the
 * value that it has at x.
 */
export function numericGradients(
  loss: Value,
  wrt: readonly Value[],
  feeds: ReadonlyMap<Value, Dense>,
): Float64Array[] {
  const run = evaluator([loss]);
  const stopped = loss.graph.nodes
    .filter((node) => node.rule.type === "Alias" && !node.rule.vjp)
    .flatMap((node) => node.outputs);
  const constants = evaluate(stopped, feeds);
  const fixed = new Map([...feeds, ...stopped.map((y, i) => [y, constants[i]!] as const)]);
  const h = 2 ** -17;
  return wrt.map((x) => {
    const { data, shape } = feeds.get(x)!;
    return data.map((v, i) => {
      const [above, below] = [v + h, v - h].map((moved) => {
        const [result] = run(new Map(fixed).set(x, { data: data.with(i, moved), shape }));
        return result!.data[0]!;
      });
      return (above! - below!) / (2 * h);
    });
  });
}

/** Assert that `grad` gives what central differences give; an absent gradient has to be zero. */
export function expectGradients(
  loss: Value,
  wrt: readonly Value[],
  feeds: ReadonlyMap<Value, Dense>,
  tolerance: { rtol: number; atol: number } = { rtol: 1e-7, atol: 1e-8 },
): (Value | undefined)[] {
  const grads = grad(loss, wrt);
  const found = evaluate(
    grads.filter((v) => v !== undefined),
    feeds,
  );
  const numeric = numericGradients(loss, wrt, feeds);
  grads.forEach((value, i) => {
    const actual = value ? found.shift()!.data : numeric[i]!.map(() => 0);
    expect(actual).toBeAllclose(numeric[i]!, tolerance);
  });
  return grads;
}
