/**
 * @file The encoder and the decoder of an FSQ tokenizer, which are alike: learnt queries that look at each other and at
 * the input rows, layer by layer (openpi `TokenizerEncoderDecoder`, `CrossAttentionLayer`).
 */
import { type Attention, add, attention, type Dense, dense, geglu, layerNorm, type Rows } from "./layers.js";
import { denseOf, type Weights } from "./params.js";

interface StackOptions {
  layers: number;
  heads: number;
  causal: boolean;
}

/**
 * `y` `[keys, d]` to the answers `[queries, d]` of the stack called `name`.
 * A causal stack masks self-attention by position. Its mask between queries and keys is meant to be one of position, too,
 * but openpi hands the rows' first features where indices belong: row i sees row j when
 * `floor(xᵢ₀ / bₖ) ≥ floor(yⱼ₀ / b_q)`. A model that was trained so must be read so.
 */
export function runStack(name: string, input: Rows, weights: Weights, options: StackOptions): Rows {
  const { layers, heads, causal } = options;
  const { width } = input;
  const y = add(input, { data: weights(`${name}/y_pos_enc`), width });
  let x: Rows = { data: weights(`${name}/q_embed`), width };
  const [queries, keys] = [x.data.length / width, y.data.length / width];
  const queryBlock = Math.max(Math.floor(queries / keys), 1);
  const keyBlock = Math.max(Math.floor(keys / queries), 1);
  for (let i = 0; i < layers; i++) {
    const layer = `${name}/CrossAttentionLayer_${i}`;
    const norm = (rows: Rows, n: number): Rows =>
      layerNorm(rows, weights(`${layer}/LayerNorm_${n}/scale`), weights(`${layer}/LayerNorm_${n}/bias`));
    const first = x.data.filter((_, at) => at % width === 0);
    const sees = (a: number, b: number): boolean =>
      Math.floor(first[a]! / keyBlock) >= Math.floor(y.data[b * width]! / queryBlock);
    const self = norm(x, 0);
    const before = causal ? (a: number, b: number) => a >= b : undefined;
    x = add(x, attention(self, self, attentionOf(weights, layer, 0), heads, before));
    x = add(x, attention(norm(x, 1), y, attentionOf(weights, layer, 1), heads, causal ? sees : undefined));
    const hidden = dense(norm(x, 2), denseOf(weights, `${layer}/Dense_0`));
    const gated = geglu(hidden, denseOf(weights, `${layer}/GeGLU_0/Dense_0`));
    x = add(x, dense(gated, denseOf(weights, `${layer}/Dense_1`)));
  }
  return x;
}

function attentionOf(weights: Weights, layer: string, n: number): Attention {
  const name = `${layer}/MultiHeadDotProductAttention_${n}`;
  const part = (which: string): Dense => denseOf(weights, `${name}/${which}`);
  return { query: part("query"), key: part("key"), value: part("value"), out: part("out") };
}
