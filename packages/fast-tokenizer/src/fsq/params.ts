/**
 * @file The weights of an FSQ tokenizer: their names and shapes, which follow from its configuration. Names are the paths
 * of flax's tree joined by `/`, as openpi's module makes it and its checkpoints (orbax, item `params`) hold it:
 * `proj/kernel`, `encoder/CrossAttentionLayer_0/LayerNorm_0/scale`, `codebook/proj_down/bias`, `out_scale`.
 */
import { InsulaError, type NdArray, sizeOf } from "@insula/model-types";
import { type FsqConfig, fsqHeads, parseFsqConfig } from "./config.js";
import type { Dense } from "./layers.js";

/** Weights by name; float32, or numbers that become it. */
export type FsqParams = ReadonlyMap<string, NdArray> | Readonly<Record<string, NdArray>>;

/** Name → shape of every weight. @throws InsulaError `fast/fsq-config`. */
export function fsqParamShapes(config: FsqConfig): Map<string, number[]> {
  const { embed_dim: d, data_dim, data_horizon, num_tokens, num_layers, mlp_ratio } = parseFsqConfig(config);
  const shapes = new Map<string, number[]>();
  const dense = (name: string, inputs: number[], outputs: number[]): void => {
    shapes.set(`${name}/kernel`, [...inputs, ...outputs]);
    shapes.set(`${name}/bias`, outputs);
  };
  const heads = [fsqHeads(d), d / fsqHeads(d)];
  const hidden = Math.floor(d * mlp_ratio);
  const stack = (name: string, queries: number, keys: number): void => {
    shapes.set(`${name}/q_embed`, [queries, d]);
    shapes.set(`${name}/y_pos_enc`, [keys, d]);
    for (let i = 0; i < num_layers; i++) {
      const layer = `${name}/CrossAttentionLayer_${i}`;
      for (const norm of [0, 1, 2]) {
        shapes.set(`${layer}/LayerNorm_${norm}/scale`, [d]);
        shapes.set(`${layer}/LayerNorm_${norm}/bias`, [d]);
      }
      for (const attention of [0, 1].map((a) => `${layer}/MultiHeadDotProductAttention_${a}`)) {
        for (const part of ["query", "key", "value"]) dense(`${attention}/${part}`, [d], heads);
        dense(`${attention}/out`, heads, [d]);
      }
      dense(`${layer}/Dense_0`, [d], [hidden]);
      dense(`${layer}/GeGLU_0/Dense_0`, [hidden], [2 * hidden]);
      dense(`${layer}/Dense_1`, [hidden], [d]);
    }
  };
  dense("proj", [data_dim], [d]);
  stack("encoder", num_tokens, data_horizon);
  dense("codebook/proj_down", [d], [CODE_DIMS]);
  dense("codebook/proj_up", [CODE_DIMS], [d]);
  stack("decoder", data_horizon, num_tokens);
  dense("proj_mean", [d], [data_dim]);
  shapes.set("out_scale", []);
  return shapes;
}

/** Numbers that a token's place is quantised in. */
export const CODE_DIMS = 2;

/** Reads a weight by name. */
export type Weights = (name: string) => Float32Array;

/** The kernel and bias called `name`. */
export function denseOf(weights: Weights, name: string): Dense {
  return { kernel: weights(`${name}/kernel`), bias: weights(`${name}/bias`) };
}

/**
 * The weights as float32, none missing, none left over, all finite.
 * @throws InsulaError `fast/fsq-params` naming the tensor, `fast/fsq-config`.
 */
export function fsqWeights(config: FsqConfig, params: FsqParams): Weights {
  const given = params instanceof Map ? params : new Map(Object.entries(params));
  const shapes = fsqParamShapes(config);
  const weights = new Map<string, Float32Array>();
  for (const [name, shape] of shapes) {
    const found = given.get(name);
    if (!found) throw refuse(name, `[${shape}]`, "none");
    const fits = found.shape.join() === shape.join() && found.data.length === sizeOf(shape);
    if (!fits) throw refuse(name, `[${shape}]`, `[${found.shape}]`);
    const data: Float32Array =
      found.data instanceof Float32Array ? found.data : Float32Array.from(found.data as Float64Array, Number);
    const bad = data.findIndex((x) => !Number.isFinite(x));
    if (bad >= 0) throw refuse(name, "finite numbers", `${data[bad]} at ${bad}`);
    weights.set(name, data);
  }
  const extra = [...given.keys()].find((name) => !shapes.has(name));
  if (extra !== undefined) throw refuse(extra, "no such tensor for this configuration", "one");
  return (name) => weights.get(name)!;
}

function refuse(name: string, expected: string, found: string): InsulaError {
  return new InsulaError("fast/fsq-params", `fsq: ${name}: expected ${expected}, found ${found}`);
}
