/**
 * @file AdamW with a gradient-norm clip, and EMA, as one graph (openpi `training/optimizer.py`:
 * optax.chain(clip_by_global_norm, adamw)).
 *
 * Every parameter's new value depends on all gradients (through the joint norm, which says whether they are finite), and nothing but its own update
 * reads the old value, so each output may be written over the input it replaces; the builder asserts it.
 *
 * The formulas are arranged for few passes over memory: every factor that is one number per step is multiplied in
 * advance. A step whose loss or gradient is not finite leaves parameters, moments and average exactly as they were.
 */
import {
  add,
  and,
  assertInPlace,
  createGraph,
  div,
  exp,
  type Graph,
  greater,
  input,
  less,
  lessOrEqual,
  mul,
  reduceSumSquare,
  scalar,
  sqrt,
  sub,
  type Value,
  where,
} from "@insula/onnx-grad";
import { matchPaths } from "../params/path-patterns.js";
import type { ParamGroup, ParamSpec } from "../params/spec.js";

/** What shares a gradient norm: all parameters, or the VLM's and the expert's each their own. */
export type Clip = "joint" | "group";

/**
 * AdamW's constants, as optax names them; part of the graph, unlike the learning rate. The decay is
 * decoupled and scaled by the learning rate.
 */
export interface OptimizerOptions {
  b1: number;
  b2: number;
  eps: number;
  weightDecay: number;
  /**
   * Parameters without decay: regular expressions for whole paths, such as `.*(bias|scale)`. Default none, as openpi
   * masks none.
   */
  noWeightDecay?: readonly string[];
  /** Largest norm of what is clipped together. */
  clipGradientNorm: number;
  /**
   * `joint` (openpi, default): one norm over all gradients scales them all. `group`: the VLM's gradients are
   * scaled by their own norm and the expert's by theirs. Under knowledge insulation the two come from different losses
   * and no parameter sees both, so a joint norm is the only thing that ties them: a spike of the FAST loss then also
   * shortens the expert's step, whose own gradient is as good as ever, and the reverse.
   */
  clip?: Clip;
  /** Decay of the running average of the parameters; null: no average. */
  emaDecay: number | null;
  /** The gradients come multiplied by the input `loss_scale`, as float16 compute needs it. */
  lossScaling?: boolean;
}

/** Everything finite is at most this. */
const FLOAT32_MAX = 3.4028234663852886e38;

/** openpi's AdamW defaults. */
export const DEFAULT_OPTIMIZER: OptimizerOptions = {
  b1: 0.9,
  b2: 0.95,
  eps: 1e-8,
  weightDecay: 1e-10,
  noWeightDecay: [],
  clipGradientNorm: 1.0,
  clip: "joint",
  emaDecay: 0.99,
};

/** What the optimizer graph needs of a parameter. */
export type Trainable = Pick<ParamSpec, "name" | "path" | "shape" | "group">;

/**
 * Build the optimizer.
 *
 * Inputs: per parameter its name, `grad/…`, `mu/…`, `nu/…` and with EMA `ema/…`; scalars `lr`, `step` (the
 * number of this update, from 1) and `loss` (that of the step: a loss that overflows may have a finite gradient, for the
 * gradient of a square is no square). Outputs: `new/…` for each of the first, third, fourth and fifth, and
 * `grad_norm`, `grad_norm_vlm`, `grad_norm_expert` (before the clip, of the unscaled
 * gradient) and `param_norm` (of the new kernels). A `new/…` may be written over the input that it replaces. When
 * `grad_norm` or `loss` is not finite, every `new/…` equals what it replaces.
 * @throws InsulaError `model/noWeightDecay` for a pattern that is no regular expression
 */
export function buildOptimizer(
  params: readonly Trainable[],
  options: OptimizerOptions,
): { graph: Graph; outputs: Map<string, Value> } {
  const graph = createGraph();
  const { b1, b2, eps, weightDecay, clipGradientNorm, emaDecay, lossScaling = false } = options;
  const undecayed = matchPaths(undefined, options.noWeightDecay, "noWeightDecay");
  const lr = input(graph, "lr", "float32", []);
  const step = input(graph, "step", "float32", []);
  const unscale = lossScaling ? div(1, input(graph, "loss_scale", "float32", [])) : scalar(graph, 1);
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
  const norm = mul(sqrt([...squares.values()].reduce((a, b) => add(a, b))), unscale);
  outputs.set("grad_norm", norm);
  for (const [group, square] of squares) outputs.set(`grad_norm_${group}`, mul(sqrt(square), unscale));

  const finite = and(finiteScalar(norm), finiteScalar(input(graph, "loss", "float32", [])));
  const unlessSkipped = (value: Value | number, skipped: number) =>
    where(finite, typeof value === "number" ? scalar(graph, value) : value, skipped);
  const factorOf = (of: Value) => {
    const clip = where(less(of, clipGradientNorm), scalar(graph, 1), div(clipGradientNorm, of));
    return unlessSkipped(mul(clip, unscale), 0);
  };
  const joint = options.clip === "group" ? undefined : factorOf(norm);
  const factors = new Map(
    [...squares.keys()].map((group) => [group, joint ?? factorOf(outputs.get(`grad_norm_${group}`)!)]),
  );
  const [decay1, decay2] = [unlessSkipped(b1, 1), unlessSkipped(b2, 1)];
  // μ̂/(√ν̂ + ε) = μ·(√c₂/c₁) / (√ν + ε·√c₂), c = 1 − βᵗ
  const correction = (beta: number) => sub(1, exp(mul(step, Math.log(beta))));
  const root2 = sqrt(correction(b2));
  const epsilon = mul(root2, eps);
  const rate = unlessSkipped(mul(lr, div(root2, correction(b1))), 0);
  const shrink = sub(1, unlessSkipped(mul(lr, weightDecay), 0));
  const average =
    emaDecay === null ? undefined : ([unlessSkipped(emaDecay, 1), unlessSkipped(1 - emaDecay, 0)] as const);

  let kernels: Value | undefined;
  params.forEach((p, i) => {
    const param = input(graph, p.name, "float32", p.shape);
    const mu = input(graph, `mu/${p.name}`, "float32", p.shape);
    const nu = input(graph, `nu/${p.name}`, "float32", p.shape);
    const g = mul(where(finite, grads[i]!, 0), factors.get(p.group)!);
    const newMu = add(mul(mu, decay1), mul(g, 1 - b1));
    const newNu = add(mul(nu, decay2), mul(mul(g, g), 1 - b2));
    const kept = undecayed(p.path) ? param : mul(param, shrink);
    const next = sub(kept, div(mul(newMu, rate), add(sqrt(newNu), epsilon)));
    update(param, next);
    update(mu, newMu);
    update(nu, newNu);
    if (average) {
      const ema = input(graph, `ema/${p.name}`, "float32", p.shape);
      update(ema, add(mul(ema, average[0]), mul(next, average[1])));
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

/** Comparisons with NaN are false. */
const finiteScalar = (x: Value): Value => and(lessOrEqual(x, FLOAT32_MAX), greater(x, -FLOAT32_MAX));

function sumSquares(x: Value): Value {
  return reduceSumSquare(
    x,
    x.shape.map((_, i) => i),
  );
}

/** openpi's `param_norm` counts kernels only: more than one axis, and not a bias, scale or embedding. */
function isKernel({ path, shape }: Trainable): boolean {
  return shape.length > 1 && !/(bias|scale|pos_embedding|input_embedding)$/.test(path);
}
