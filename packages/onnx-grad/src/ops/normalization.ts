/**
 * @file Normalisations over the last axis.
 */

import { unbroadcast } from "../broadcast.js";
import { customVjp } from "../custom-vjp.js";
import { GraphError } from "../error.js";
import { addNode, type OpRule, show, type Value } from "../graph.js";
import { add, mul, sub } from "./elementwise.js";
import { reduceMean } from "./reduce.js";
import { zeros } from "./shape.js";
import { cast, reciprocal, sqrt } from "./unary.js";

const LAYER_NORM: OpRule = {
  type: "LayerNormalization",
  // The gradients of the statistics, which the first gradient of the result reads: these are part of a second one.
  vjp: ({ inputs, outputs, grads: [, gMean, gInvStd] }) => {
    const [x] = inputs as [Value];
    const [mean, invStd] = outputs.slice(1).map((s) => cast(s, x.dtype)) as [Value, Value];
    const each = 1 / x.shape.at(-1)!;
    let dx = zeros(x, (gMean ?? gInvStd)!);
    if (gMean) dx = add(dx, mul(cast(gMean, x.dtype), each));
    if (gInvStd) {
      const normal = mul(sub(x, mean), invStd);
      dx = sub(dx, mul(normal, mul(mul(cast(gInvStd, x.dtype), each), mul(invStd, invStd))));
    }
    return [dx, undefined, undefined];
  },
};

/** Layer normalisation over the last axis: `(x − mean)/√(var + epsilon) · scale + bias`, scale and bias `[d]`. */
export function layerNorm(x: Value, scale: Value, bias: Value, epsilon: number): Value {
  const d = x.shape.at(-1)!;
  for (const p of [scale, bias]) {
    if (p.shape.length !== 1 || p.shape[0] !== d) {
      throw new GraphError(
        "graph/shape",
        `LayerNormalization: '${p.name}' is ${show(p.shape)}, expected [${d}]`,
      );
    }
  }
  const stats = { dtype: "float32" as const, shape: x.shape.with(-1, 1) };
  const [y, ...statistics] = addNode(
    LAYER_NORM,
    [x, scale, bias],
    [{ dtype: x.dtype, shape: x.shape }, stats, stats],
    { axis: { int: -1 }, epsilon: { float: epsilon } },
  ) as [Value, Value, Value];
  // Mean and inverse deviation are float32 whatever x is.
  const [mean, invStd] = statistics.map((s) => cast(s, x.dtype)) as [Value, Value];
  const normal = mul(sub(x, mean), invStd);
  // x̂ = (x − mean)·r;  dx = r·(ĝ − mean(ĝ) − x̂·mean(ĝ∘x̂)), ĝ = g∘scale
  return customVjp(y, [x, scale, bias], [scale, normal, invStd], ({ saved, grad: g }) => {
    const [weight, hat, r] = saved as [Value, Value, Value];
    const scaled = mul(g, weight);
    const centred = sub(
      sub(scaled, reduceMean(scaled, [-1], true)),
      mul(hat, reduceMean(mul(scaled, hat), [-1], true)),
    );
    return [mul(centred, r), unbroadcast(mul(g, hat), weight.shape), unbroadcast(g, weight.shape)];
  });
}

/** Root-mean-square normalisation over the last axis, without scale: `x / √(mean(x²) + epsilon)`. */
export function rmsNormalize(x: Value, epsilon: number): Value {
  const r = reciprocal(sqrt(add(reduceMean(mul(x, x), [-1], true), epsilon)));
  const y = mul(x, r);
  // dx = r·(g − y·mean(g∘y))
  return customVjp(y, [x], [y, r], ({ saved, grad }) => {
    const [out, rms] = saved as [Value, Value];
    return [mul(rms, sub(grad, mul(out, reduceMean(mul(grad, out), [-1], true))))];
  });
}
