/**
 * @file Parameters of a model that starts from scratch, from a seed.
 */
import { type ModelConfig, type NdArray, sizeOf } from "@insula/model-types";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { ParamTree } from "../train-session.js";
import { isLora } from "./lora.js";
import { type Init, type ParamSpec, paramSpecs, stackedShape } from "./spec.js";

/**
 * Random parameters under file names. The same seed gives the same bits on every machine, and with adapters the same
 * weights as without.
 */
export function initParams(config: ModelConfig, seed: number): ParamTree {
  const rng = xoroshiro128plus(seed);
  const uniform = () => uniformFloat64(rng);
  const tree: ParamTree = new Map();
  for (const spec of fileSpecs(config)) {
    if (!isLora(spec.path)) tree.set(spec.path, drawParam(spec, uniform));
  }
  return addLora(tree, config, seed).params;
}

/**
 * Parameters that lack adapters, with the missing ones drawn as {@link initParams} draws them: where training of
 * adapters starts (openpi's `CheckpointWeightLoader` adds what is missing of `.*lora.*`).
 * @returns all parameters in the model's order, and the paths that were added
 */
export function addLora(
  params: ParamTree,
  config: ModelConfig,
  seed: number,
): { params: ParamTree; added: string[] } {
  // A generator of their own: one that no weight draws from.
  const rng = xoroshiro128plus(~seed);
  const uniform = () => uniformFloat64(rng);
  const tree: ParamTree = new Map();
  const added: string[] = [];
  for (const spec of fileSpecs(config)) {
    const given = params.get(spec.path);
    const drawn = isLora(spec.path) ? drawParam(spec, uniform) : undefined;
    if (drawn && !given) added.push(spec.path);
    const tensor = given ?? drawn;
    if (tensor) tree.set(spec.path, tensor);
  }
  for (const [path, tensor] of params) if (!tree.has(path)) tree.set(path, tensor);
  return { params: tree, added };
}

/** One of the specs of every path. */
function fileSpecs(config: ModelConfig): Iterable<ParamSpec> {
  return new Map(paramSpecs(config).map((spec) => [spec.path, spec])).values();
}

function drawParam(spec: ParamSpec, uniform: () => number): NdArray<Float32Array> {
  const shape = stackedShape(spec);
  return { data: draw(spec.init, sizeOf(shape), uniform), shape };
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
