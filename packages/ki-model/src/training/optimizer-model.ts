/**
 * @file AdamW with a joint gradient-norm clip, and EMA, as one graph (openpi `training/optimizer.py`:
 * optax.chain(clip_by_global_norm, adamw)).
 *
 * Every parameter's new value depends on all gradients (through the joint norm), and nothing but its own update
 * reads the old value, so each output may be written over the input it replaces; the builder asserts it.
 */
import {
  add,
  assertInPlace,
  createGraph,
  div,
  exp,
  type Graph,
  input,
  less,
  mul,
  reduceSum,
  scalar,
  sqrt,
  sub,
  type Value,
  where,
} from "@insula/onnx-grad";
import type { ParamGroup, ParamSpec } from "../params/spec.js";

/**
 * AdamW's constants, as optax names them; part of the graph, unlike the learning rate. The decay is
 * decoupled, scaled by the learning rate, and applies to every trainable parameter: openpi masks none.
 */
export interface OptimizerOptions {
  b1: number;
  b2: number;
  eps: number;
  weightDecay: number;
  /** Largest norm of the joint gradient. */
  clipGradientNorm: number;
  /** Decay of the running average of the parameters; null: no average. */
  emaDecay: number | null;
}

/** openpi's AdamW defaults. */
export const DEFAULT_OPTIMIZER: OptimizerOptions = {
  b1: 0.9,
  b2: 0.95,
  eps: 1e-8,
  weightDecay: 1e-10,
  clipGradientNorm: 1.0,
  emaDecay: 0.99,
};

/** What the optimizer graph needs of a parameter. */
export type Trainable = Pick<ParamSpec, "name" | "path" | "shape" | "group">;

/**
 * Build the optimizer.
 *
 * Inputs: per parameter its name, `grad/…`, `mu/…`, `nu/…` and with EMA `ema/…`; scalars `lr` and `step` (the
 * number of this update, from 1). Outputs: `new/…` for each of the first, third, fourth and fifth, and
 * `grad_norm`, `grad_norm_vlm`, `grad_norm_expert` (before the clip) and `param_norm` (of the new kernels). A `new/…` may be
 * written over the input that it replaces.
 */
export function buildOptimizer(
  params: readonly Trainable[],
  options: OptimizerOptions,
): { graph: Graph; outputs: Map<string, Value> } {
  const graph = createGraph();
  const { b1, b2, eps, weightDecay, clipGradientNorm, emaDecay } = options;
  const lr = input(graph, "lr", "float32", []);
  const step = input(graph, "step", "float32", []);
  const outputs = new Map<string, Value>();
  const replaced = new Map<string, Value>();
  const update = (old: Value, next: Value) => {
    outputs.set(`new/${old.name}`, next);
    replaced.set(`new/${old.name}`, old);
  };
  const grads = params.map((p) => input(graph, `grad/${p.name}`, "float32", p.shape));

  const squares = new Map<ParamGroup, Value>();
  params.forEach(({ group }, i) => {
    const square = sumSquares(grads[i]!);
    const known = squares.get(group);
    squares.set(group, known ? add(known, square) : square);
  });
  const norm = sqrt([...squares.values()].reduce((a, b) => add(a, b)));
  outputs.set("grad_norm", norm);
  for (const [group, square] of squares) outputs.set(`grad_norm_${group}`, sqrt(square));
  const clip = where(
    less(norm, clipGradientNorm),
    scalar(graph, 1),
    div(scalar(graph, clipGradientNorm), norm),
  );

  const correction = (beta: number) => sub(1, exp(mul(step, Math.log(beta))));
  const [c1, c2] = [correction(b1), correction(b2)];
  let kernels: Value | undefined;
  params.forEach((p, i) => {
    const param = input(graph, p.name, "float32", p.shape);
    const mu = input(graph, `mu/${p.name}`, "float32", p.shape);
    const nu = input(graph, `nu/${p.name}`, "float32", p.shape);
    const g = mul(grads[i]!, clip);
    const newMu = add(mul(mu, b1), mul(g, 1 - b1));
    const newNu = add(mul(nu, b2), mul(mul(g, g), 1 - b2));
    const direction = add(div(div(newMu, c1), add(sqrt(div(newNu, c2)), eps)), mul(param, weightDecay));
    const next = sub(param, mul(direction, lr));
    update(param, next);
    update(mu, newMu);
    update(nu, newNu);
    if (emaDecay !== null) {
      const ema = input(graph, `ema/${p.name}`, "float32", p.shape);
      update(ema, add(mul(ema, emaDecay), mul(next, 1 - emaDecay)));
    }
    if (isKernel(p)) {
      const square = sumSquares(next);
      kernels = kernels ? add(kernels, square) : square;
    }
  });
  outputs.set("param_norm", sqrt(kernels ?? scalar(graph, 0)));
  assertInPlace(graph, outputs, replaced);
  return { graph, outputs };
}

function sumSquares(x: Value): Value {
  return reduceSum(
    mul(x, x),
    x.shape.map((_, i) => i),
  );
}

/** openpi's `param_norm` counts kernels only: more than one axis, and not a bias, scale or embedding. */
function isKernel({ path, shape }: Trainable): boolean {
  return shape.length > 1 && !/(bias|scale|pos_embedding|input_embedding)$/.test(path);
}
