/**
 * @file Inference graphs of pi0_fast: fill the cache from images and prompt, then one token at a time
 * (openpi `models/pi0_fast.py` `sample_actions`).
 */
import type { ModelConfig } from "@insula/model-types";
import {
  add,
  argMax,
  cast,
  concat,
  constant,
  type DType,
  gather,
  input,
  mul,
  reshape,
  type Value,
} from "@insula/onnx-grad";
import { attention, maskBias } from "../model/attention.js";
import { createModelContext } from "../model/context.js";
import {
  embedPrefix,
  embedTokens,
  prefixGeometry,
  runPrefix,
  textInputs,
  vlmLayer,
  vocabularyLogits,
} from "../model/prefix.js";
import { ropeTables } from "../model/rope.js";
import type { BuiltModel, InferenceOptions } from "./models.js";

/** `prefix_model`: `kv_k/i`, `kv_v/i` `[b, s, kv, h]`, `prefix_mask` `[b, s]` and `logits` `[b, vocab]` of the last valid token. */
export function buildFastPrefixModel(config: ModelConfig, options: InferenceOptions): BuiltModel {
  const context = createModelContext(config, options);
  const { graph } = context;
  const prefix = embedPrefix(context, textInputs(context, true));
  const { layers, hidden } = runPrefix(context, prefix.embed, prefixGeometry(prefix));
  const [b, s, w] = hidden.shape as [number, number, number];
  const index = constant(graph, range(s), [1, s]);
  const last = argMax(mul(cast(prefix.valid, "float32"), index), 1); // [b]: the last valid position
  const rows = add(
    last,
    constant(
      graph,
      range(b).map((i) => i * s),
      [b],
      "int64",
    ),
  );
  const outputs = new Map<string, Value>([
    ["prefix_mask", prefix.valid],
    ["logits", vocabularyLogits(context, gather(reshape(hidden, [b * s, w]), rows))],
  ]);
  layers.forEach(({ k, v }, i) => {
    outputs.set(`kv_k/${i}`, k);
    outputs.set(`kv_v/${i}`, v);
  });
  return { context, outputs };
}

/**
 * `decode_model`: one token `[b, 1]` at `position` `[b, 1]` against a cache of `cacheLength` rows of which
 * `cache_mask` bool `[b, cacheLength]` may be seen → `logits` `[b, vocab]` and the token's own `new_k/i`, `new_v/i`.
 */
export function buildFastDecodeModel(
  config: ModelConfig,
  options: InferenceOptions & { cacheLength: number },
): BuiltModel {
  const context = createModelContext(config, options);
  const { graph, batchSize: b } = context;
  const { cacheLength: t } = options;
  const { width, depth, numKvHeads, headDim } = config.vlm;
  const token = input(graph, "token", "int32", [b, 1]);
  const position = input(graph, "position", "int32", [b, 1]);
  const cacheMask = input(graph, "cache_mask", "bool", [b, t]);
  const self = constant(
    graph,
    range(b).map(() => 1),
    [b, 1],
    "bool",
  );
  const bias = maskBias(reshape(concat([cacheMask, self], 1), [b, 1, t + 1]));
  const rope = ropeTables(cast(position, "float32"), headDim);
  const outputs = new Map<string, Value>();
  let x = embedTokens(context, token); // [b, 1, w]
  for (let layer = 0; layer < depth; layer++) {
    const cached = (name: string, dtype: DType) =>
      input(graph, `${name}/${layer}`, dtype, [b, t, numKvHeads, headDim]);
    x = vlmLayer(context, layer, x, rope, ({ q, k, v }) => {
      outputs.set(`new_k/${layer}`, k);
      outputs.set(`new_v/${layer}`, v);
      return attention(
        q,
        concat([cached("kv_k", k.dtype), k], 1),
        concat([cached("kv_v", v.dtype), v], 1),
        bias,
      );
    });
  }
  outputs.set("logits", vocabularyLogits(context, reshape(x, [b, width])));
  return { context, outputs };
}

function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}
