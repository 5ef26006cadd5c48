/**
 * @file The action expert's stream: noisy actions (and, in pi0, the state) attend to the VLM's keys and values
 * layer by layer and to each other, never to FAST tokens (openpi `models/pi0.py`).
 */
import { configModelType } from "@insula/model-types";
import {
  add,
  cast,
  concat,
  constant,
  expand,
  mul,
  reduceSum,
  reshape,
  silu,
  slice,
  type Value,
  withScope,
} from "@insula/onnx-grad";
import { attention, maskBias } from "./attention.js";
import type { ModelContext } from "./context.js";
import { feedForward, type KeysValues, layerNormPath, projectOut, projectQkv } from "./gemma.js";
import { adaptiveRmsNorm, linear, rmsNorm } from "./linear.js";
import { buildLayer, type Rematerialize } from "./rematerialize.js";
import { ropeTables } from "./rope.js";
import { timeEmbedding } from "./time-embedding.js";

/**
 * The expert's input tokens: a = actionHorizon, and in pi0 one more in front for the state. With k noise draws per
 * prefix there are k sequences for each, the draws of one sample one behind the other.
 */
export interface SuffixTokens {
  /** `[b·k, a, expertWidth]` */
  embed: Value;
  /** `[b·k, expertWidth]`: the condition of the adaptive norms; absent in pi0. */
  cond: Value | undefined;
  /** Rows before the first action token. */
  stateTokens: number;
}

/**
 * Embed noisy actions `[b·k, h, d]`, flow time `[b·k]` and, in pi0, the state `[b, d]` (openpi `embed_suffix`).
 */
export function embedSuffix(
  context: ModelContext,
  inputs: { xT: Value; time: Value; state?: Value },
): SuffixTokens {
  const { config, graph, tap } = context;
  const { xT, time, state } = inputs;
  const [rows, h] = xT.shape as [number, number];
  const w = config.expert.width;
  return withScope(graph, "embed_suffix", () => {
    const actions = linear(context, "action_in_proj", xT);
    const t = timeEmbedding(time, w);
    if (configModelType(config) !== "pi0") {
      const cond = silu(linear(context, "time_mlp_out", silu(linear(context, "time_mlp_in", t))));
      tap("adarms_cond", cond);
      return { embed: tap("suffix_embed", actions), cond, stateTokens: 0 };
    }
    const b = state!.shape[0]!;
    const perSample = reshape(linear(context, "state_proj", state!), [b, 1, w]);
    const stateToken = reshape(rows === b ? perSample : expand(perSample, [b, rows / b, w]), [rows, 1, w]);
    const withTime = concat([actions, expand(reshape(t, [rows, 1, w]), [rows, h, w])], 2);
    const mixed = linear(
      context,
      "action_time_mlp_out",
      silu(linear(context, "action_time_mlp_in", withTime)),
    );
    return { embed: tap("suffix_embed", concat([stateToken, mixed], 1)), cond: undefined, stateTokens: 1 };
  });
}

/** What the expert sees of the prefix. */
export interface SuffixGeometry {
  /** bool `[b, k·a, s + k·a]`: the draws of a sample see its prefix, and none of them another. */
  visible: Value;
  /** int32 `[b, k·a]`: counted on from the valid prompt tokens, parallel to FAST tokens, as at inference. */
  positions: Value;
}

/** Masks and positions of the expert's rows. `promptValid` is bool `[b, s]`. */
export function suffixGeometry(promptValid: Value, { embed, stateTokens }: SuffixTokens): SuffixGeometry {
  const { graph } = promptValid;
  const [b, s] = promptValid.shape as [number, number];
  const [rows, a] = embed.shape as [number, number];
  const all = (rows / b) * a;
  const prompt = expand(reshape(promptValid, [b, 1, s]), [b, all, s]);
  // openpi's suffix ar mask: the state token and the first action open a block each, the actions see each other.
  const own = constant(
    graph,
    Array.from({ length: all * all }, (_, i) => {
      const [query, key] = [Math.floor(i / all), i % all];
      const sameDraw = Math.floor(query / a) === Math.floor(key / a);
      return sameDraw && (key % a < stateTokens || query % a >= stateTokens) ? 1 : 0;
    }),
    [1, all, all],
    "bool",
  );
  const steps = constant(
    graph,
    Array.from({ length: all }, (_, i) => i % a),
    [1, all],
    "int32",
  );
  const start = cast(reduceSum(cast(promptValid, "float32"), [1], true), "int32"); // counts are exact in float32
  return { visible: concat([prompt, expand(own, [b, all, all])], 2), positions: add(start, steps) };
}

/**
 * Run the expert over its tokens.
 * @param prefix the VLM's keys and values per layer, `[b, s, kv, h]`
 * @returns the hidden state after the final norm, `[b·k, a, expertWidth]`, and the full keys and values per layer
 */
export function runSuffix(
  context: ModelContext,
  tokens: SuffixTokens,
  prefix: readonly KeysValues[],
  geometry: SuffixGeometry,
  { rematerialize = false }: { rematerialize?: Rematerialize } = {},
): { hidden: Value; layers: readonly KeysValues[] } {
  const { graph, config } = context;
  const layers: KeysValues[] = [];
  const norm = (path: string, x: Value, layer?: number): { y: Value; gate?: Value } =>
    tokens.cond
      ? adaptiveRmsNorm(context, path, x, tokens.cond, layer)
      : { y: rmsNorm(context, path, x, layer) };
  const residual = (x: Value, y: Value, gate?: Value) => add(x, gate ? mul(y, gate) : y);
  return withScope(graph, "expert", () => {
    const bias = maskBias(geometry.visible);
    const [rows, a] = tokens.embed.shape as [number, number];
    const [b, all] = geometry.positions.shape as [number, number];
    const rope = ropeTables(cast(reshape(geometry.positions, [rows, a]), "float32"), config.expert.headDim);
    // Draws of one sample share its prefix: for the attention they are one sequence of k·a rows.
    const together = (y: Value) => reshape(y, [b, all, ...y.shape.slice(2)]); // [b·k, a, …] → [b, k·a, …]
    const apart = (y: Value) => reshape(y, [rows, a, ...y.shape.slice(2)]);
    let x = cast(tokens.embed, context.computeType);
    for (let layer = 0; layer < config.expert.depth; layer++) {
      const body = () =>
        withScope(graph, `layer${layer}`, () => {
          const attn = norm(layerNormPath("pre_attention_norm", "_1"), x, layer);
          const own = projectQkv(context, config.expert, "_1", layer, attn.y, rope);
          const { k, v } = prefix[layer]!;
          const seen = { k: concat([k, together(own.k)], 1), v: concat([v, together(own.v)], 1) };
          layers.push(seen);
          const attended = apart(attention(together(own.q), seen.k, seen.v, bias));
          const y = residual(x, projectOut(context, "_1", layer, attended), attn.gate);
          const ffw = norm(layerNormPath("pre_ffw_norm", "_1"), y, layer);
          return residual(y, feedForward(context, "_1", layer, ffw.y), ffw.gate);
        });
      x = buildLayer(graph, rematerialize, "expert", layer, body);
    }
    return { hidden: cast(norm("PaliGemma/llm/final_norm_1", x).y, "float32"), layers };
  });
}

/** Velocity `[b·k, h, d]` from the expert's hidden state. */
export function velocity(context: ModelContext, hidden: Value): Value {
  const { actionHorizon } = context.config;
  const a = hidden.shape[1]!;
  return linear(context, "action_out_proj", slice(hidden, a - actionHorizon, actionHorizon, 1));
}
