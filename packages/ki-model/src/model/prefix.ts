/**
 * @file The VLM's stream: images and text (and, in training with insulation, the FAST tokens behind the
 * prompt) through Gemma. Nothing here ever sees the action expert's tokens, so this stream is the same
 * function in training and at inference, with and without them.
 */
import {
  add,
  and,
  cast,
  concat,
  constant,
  cumSum,
  equal,
  expand,
  gather,
  input,
  lessOrEqual,
  matmul,
  matrixTranspose,
  mul,
  reshape,
  split,
  sub,
  type Value,
  withScope,
} from "@insula/onnx-grad";
import { attention, maskBias } from "./attention.js";
import type { ModelContext } from "./context.js";
import { feedForward, type KeysValues, layerNormPath, projectOut, projectQkv } from "./gemma.js";
import { rmsNorm } from "./linear.js";
import { buildLayer, type Rematerialize } from "./rematerialize.js";
import { type RopeTables, ropeTables } from "./rope.js";
import { type Rows, takeRows } from "./rows.js";
import { normalizePixels, siglip } from "./siglip.js";

/** The VLM's input sequence: s = cameras · patches + maxTokenLen. */
export interface PrefixTokens {
  /** `[b, s, vlmWidth]`, of the compute type */
  embed: Value;
  /** bool `[b, s]`: camera exists, token is real. */
  valid: Value;
  /** int32 `[b, s]`: 0 bidirectional, 1 causal; absent when all is bidirectional. */
  ar: Value | undefined;
  /** Where the text begins. */
  textStart: number;
}

/** The token inputs of a graph. */
export interface TextInputs {
  /** int32 `[b, l]` */
  tokens: Value;
  /** bool `[b, l]` */
  mask: Value;
  /** int32 `[b, l]` */
  ar?: Value;
}

/** Declare the text inputs under openpi's names. */
export function textInputs({ graph, batchSize, config }: ModelContext, withAr: boolean): TextInputs {
  const shape = [batchSize, config.maxTokenLen];
  return {
    tokens: input(graph, "tokenized_prompt", "int32", shape),
    mask: input(graph, "tokenized_prompt_mask", "bool", shape),
    ...(withAr ? { ar: input(graph, "token_ar_mask", "int32", shape) } : {}),
  };
}

/** Rows of the embedding table times √width, `[…ids, width]`. */
export function embedTokens({ param, config, computeType }: ModelContext, ids: Value): Value {
  const rows = gather(param("PaliGemma/llm/embedder/input_embedding"), cast(ids, "int64"));
  return cast(mul(cast(rows, "float32"), Math.sqrt(config.vlm.width)), computeType);
}

/** Declare the image inputs and embed images and text (openpi `embed_prefix`). */
export function embedPrefix(
  context: ModelContext,
  text: TextInputs,
  rematerialize: Rematerialize = false,
): PrefixTokens {
  const { graph, batchSize: b, config, imageKeys } = context;
  const patches = (config.imageSize / config.siglip.patchSize) ** 2;
  const c = imageKeys.length;
  const shape = [b, config.imageSize, config.imageSize, 3];
  const images = imageKeys.map((key) => input(graph, `images/${key}`, "uint8", shape));
  const masks = imageKeys.map((key) => input(graph, `image_masks/${key}`, "bool", [b]));
  // One pass of the tower over all cameras, then camera by camera along the token axis.
  const features = siglip(context, normalizePixels(concat(images, 0)), rematerialize); // [c·b, patches, w]
  const byCamera = split(features, Array<number>(c).fill(b), 0);
  const embed = concat([...byCamera, embedTokens(context, text.tokens)], 1);
  const imageValid = masks.map((m) => expand(reshape(m, [b, 1]), [b, patches]));
  const imageAr = text.ar && expand(constant(graph, [0], [1, 1], "int32"), [b, c * patches]);
  return {
    embed: context.tap("prefix_embed", embed),
    valid: context.tap("prefix_mask", concat([...imageValid, text.mask], 1)),
    ar: text.ar && imageAr && concat([imageAr, text.ar], 1),
    textStart: c * patches,
  };
}

/** What queries may see and where tokens stand. */
export interface PrefixGeometry {
  /** bool `[b, s, s]` */
  visible: Value;
  /** int32 `[b, s]` */
  positions: Value;
  /** bool `[b, s]`: valid and bidirectional, what the action expert may see. */
  promptValid: Value;
}

/**
 * openpi's `make_attn_mask`: i sees j when both are valid and cumsum(ar)ⱼ ≤ cumsum(ar)ᵢ. Positions count
 * valid tokens, so padding and missing cameras take none.
 */
export function prefixGeometry({ valid, ar }: Pick<PrefixTokens, "valid" | "ar">): PrefixGeometry {
  const [b, s] = valid.shape as [number, number];
  const both = and(reshape(valid, [b, s, 1]), reshape(valid, [b, 1, s]));
  const positions = sub(cumSum(cast(valid, "int32"), 1), 1);
  if (!ar) return { visible: both, positions, promptValid: valid };
  const block = cumSum(ar, 1);
  const order = lessOrEqual(reshape(block, [b, 1, s]), reshape(block, [b, s, 1]));
  return { visible: and(order, both), positions, promptValid: and(valid, equal(block, 0)) };
}

/**
 * One pre-norm Gemma layer of the VLM; `attend` does the attention with whatever keys and values there are.
 * @param x `[b, t, vlmWidth]`
 * @param rows the only rows of the result that are wanted; keys and values are of all
 */
export function vlmLayer(
  context: ModelContext,
  layer: number,
  x: Value,
  rope: RopeTables,
  attend: (own: KeysValues & { q: Value }) => Value,
  rows?: Rows,
): Value {
  const { graph, config } = context;
  return withScope(graph, `layer${layer}`, () => {
    const before = rmsNorm(context, layerNormPath("pre_attention_norm", ""), x, layer);
    const own = projectQkv(context, config.vlm, "", layer, before, rope, rows);
    const y = add(rows ? takeRows(x, rows) : x, projectOut(context, "", layer, attend(own)));
    const normal = rmsNorm(context, layerNormPath("pre_ffw_norm", ""), y, layer);
    return add(y, feedForward(context, "", layer, normal));
  });
}

/** The VLM's result: what the expert reads, and the last hidden state before the final norm. */
export interface PrefixResult {
  layers: readonly KeysValues[];
  /** `[b, s, vlmWidth]` */
  hidden: Value;
  /** The rows that were asked for, `[b, r, vlmWidth]`; all, when none were named. */
  rows: Value;
}

/** How to run the VLM. */
export interface PrefixOptions {
  rematerialize?: Rematerialize;
  /** Prefix of the values' names. */
  scope?: string;
  /** Rows of the last hidden state that are read: the last layer computes no others unless `hidden` is used. */
  rows?: Rows;
}

/** Run Gemma over the sequence. */
export function runPrefix(
  context: ModelContext,
  embed: Value,
  geometry: Pick<PrefixGeometry, "visible" | "positions">,
  { rematerialize = false, scope = "vlm", rows }: PrefixOptions = {},
): PrefixResult {
  const { graph, config } = context;
  const layers: KeysValues[] = [];
  return withScope(graph, scope, () => {
    const bias = maskBias(geometry.visible);
    const rope = ropeTables(cast(geometry.positions, "float32"), config.vlm.headDim);
    const run = (layer: number, x: Value, wanted?: Rows) => {
      const mask = wanted ? maskBias(takeRows(geometry.visible, wanted)) : bias;
      const body = () =>
        vlmLayer(
          context,
          layer,
          x,
          rope,
          ({ q, k, v }) => {
            layers[layer] = { k, v };
            return attention(q, k, v, mask);
          },
          wanted,
        );
      return buildLayer(graph, rematerialize, "vlm", layer, body);
    };
    let before = embed;
    let x = embed;
    for (let layer = 0; layer < config.vlm.depth; layer++) {
      before = x;
      x = run(layer, x);
    }
    return { layers, hidden: x, rows: rows ? run(config.vlm.depth - 1, before, rows) : x };
  });
}

/** float32 logits `[…, vocab]` of hidden rows `[…, vlmWidth]` before the final norm: the embedding, transposed. */
export function vocabularyLogits(context: ModelContext, hidden: Value): Value {
  const table = context.weight("PaliGemma/llm/embedder/input_embedding");
  return matmul(cast(finalNorm(context, hidden), "float32"), matrixTranspose(table));
}

/** The VLM's final norm. */
export function finalNorm(context: ModelContext, hidden: Value): Value {
  return rmsNorm(context, "PaliGemma/llm/final_norm", hidden);
}
