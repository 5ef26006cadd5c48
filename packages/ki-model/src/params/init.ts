/**
 * @file Parameters of a model that starts from scratch, from a seed.
 */
import { type ModelConfig, sizeOf } from "@insula/model-types";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { ParamTree } from "../train-session.js";
import { type Init, paramSpecs, stackedShape } from "./spec.js";

/** Random parameters under file names. The same seed gives the same bits on every machine. */
export function initParams(config: ModelConfig, seed: number): ParamTree {
  const rng = xoroshiro128plus(seed);
  const uniform = () => uniformFloat64(rng);
  const tree: ParamTree = new Map();
  for (const spec of paramSpecs(config)) {
    if (tree.has(spec.path)) continue;
    const shape = stackedShape(spec);
    tree.set(spec.path, { data: draw(spec.init, sizeOf(shape), uniform), shape });
  }
  return tree;
}

/** flax's truncated normal cuts at two standard deviations and rescales by this to keep the variance. */
const TRUNCATED_STD = 0.87962566103423978;

function draw(init: Init, count: number, uniform: () => number): Float32Array {
  const out = new Float32Array(count);
  switch (init.kind) {
    case "zeros":
      return out;
    case "ones":
      return out.fill(1);
    case "normal":
      return out.map(() => init.std * normal(uniform));
    case "lecun-normal": {
      const std = Math.sqrt(1 / init.fanIn) / TRUNCATED_STD;
      return out.map(() => std * truncatedNormal(uniform));
    }
    case "xavier-uniform": {
      const limit = Math.sqrt(6 / (init.fanIn + init.fanOut));
      return out.map(() => limit * (2 * uniform() - 1));
    }
  }
}

/** One draw of N(0, 1), Box–Muller. */
function normal(uniform: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

function truncatedNormal(uniform: () => number): number {
  for (;;) {
    const x = normal(uniform);
    if (Math.abs(x) < 2) return x;
  }
}
