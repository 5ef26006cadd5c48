/**
 * @file The forward pass of each model type, from inputs to losses.
 *
 * Knowledge insulation (arXiv:2505.23705) is where the two streams meet: the expert reads the VLM's keys and
 * values through `stopGradient`, in every layer, and sees the prompt but never the FAST tokens. With the
 * expert's rows invisible to the VLM, one pass computes both losses; `kiForm: "two-pass"` runs the VLM once
 * for each, as the literature writes it, and gives the same numbers.
 */
import { configModelType, InsulaError, type ModelConfig, type ModelType } from "@insula/model-types";
import {
  add,
  and,
  concat,
  constant,
  expand,
  input,
  mul,
  reshape,
  slice,
  stopGradient,
  type Value,
} from "@insula/onnx-grad";
import type { ModelContext } from "../model/context.js";
import type { KeysValues } from "../model/gemma.js";
import {
  embedPrefix,
  finalNorm,
  type PrefixGeometry,
  type PrefixResult,
  prefixGeometry,
  runPrefix,
  textInputs,
} from "../model/prefix.js";
import type { Rematerialize } from "../model/rematerialize.js";
import { embedSuffix, runSuffix, suffixGeometry, velocity } from "../model/suffix.js";
import { type FastTargets, fastLoss, fastTargets, textLogits } from "./fast-loss.js";
import { flowInputs, flowLoss } from "./flow-loss.js";

/**
 * What the forward pass costs in memory, how often the expert looks, and whether it is insulated; all else is the
 * model's configuration.
 */
export interface LossOptions {
  /**
   * Draws of noise and time per sample, default 1. The VLM runs once for all of them, the expert once for each, and the
   * action loss is the mean of theirs: a flow gradient of less variance for the price of the expert alone. `noise` is
   * `[b·k, h, d]` then and `time` `[b·k]`, the draws of one sample one behind the other.
   */
  flowDraws?: number;
  /** Bound on FAST targets per sample; default maxTokenLen − 1. */
  lossRows?: number;
  /** Layers that the backward pass computes again instead of keeping their inner values; default none. */
  rematerialize?: Rematerialize;
  /** The expert reads stop-gradient features. Default: exactly for pi05_ki. Off only to show what it prevents. */
  insulate?: boolean;
  /**
   * Compute one loss of pi05_ki alone: `fast` without the expert, `action` without logits. Default: both. For what is
   * frozen on the other side; see `partOptions`.
   */
  only?: "action" | "fast";
}

/** Scalars of the forward pass; those that the model type does not have are absent. */
export interface Losses {
  total: Value;
  action_loss?: Value;
  fast_loss?: Value;
  fast_accuracy?: Value;
}

/** What each loss is multiplied by in the total. */
export function lossWeights(config: ModelConfig): { action_loss: number; fast_loss: number } {
  const alone = configModelType(config) === "pi0_fast";
  return { action_loss: 1, fast_loss: alone ? 1 : config.kiFastTokenLossWeight };
}

/**
 * Build the forward pass of the context's model type.
 * @throws InsulaError `model/flow-draws` for a number of draws that is none, or for draws without an action expert,
 *   `model/loss` when `only` names a loss that the model type does not have
 */
export function buildLosses(context: ModelContext, options: LossOptions = {}): Losses {
  const type = configModelType(context.config);
  checkDraws(type, options.flowDraws);
  checkOnly(type, options.only);
  return type === "pi0_fast" ? autoregressiveLosses(context, options) : flowLosses(context, options);
}

function checkDraws(type: ModelType, draws = 1): void {
  if (Number.isInteger(draws) && draws >= 1 && (draws === 1 || type !== "pi0_fast")) return;
  throw new InsulaError(
    "model/flow-draws",
    type === "pi0_fast"
      ? `flowDraws: expected 1, found ${draws}; pi0_fast has no action expert`
      : `flowDraws: expected an integer of at least 1, found ${draws}`,
  );
}

function checkOnly(type: ModelType, only?: "action" | "fast"): void {
  if (!only || type === "pi05_ki" || (only === "fast") === (type === "pi0_fast")) return;
  throw new InsulaError("model/loss", `only: '${only}': a loss that ${type} does not have`);
}

/** pi0, pi05 and pi05_ki. */
function flowLosses(context: ModelContext, options: LossOptions): Losses {
  const { config, graph, batchSize: b, tap } = context;
  const ki = config.knowledgeInsulation;
  const { rematerialize = false, insulate = ki, lossRows = config.maxTokenLen - 1, only } = options;
  const text = textInputs(context, ki);
  const lossMask =
    ki && only !== "action" ? input(graph, "token_loss_mask", "bool", [b, config.maxTokenLen]) : undefined;
  const state =
    configModelType(config) === "pi0" ? input(graph, "state", "float32", [b, config.actionDim]) : undefined;
  const flow = only === "fast" ? undefined : flowInputs(context, options.flowDraws);

  const prefix = embedPrefix(context, text, rematerialize);
  const geometry = prefixGeometry(prefix);
  const targets =
    lossMask &&
    fastTargets(context, {
      tokens: text.tokens,
      lossMask,
      textStart: prefix.textStart,
      length: prefix.embed.shape[1]!,
      bound: lossRows,
    });
  const vlm = runPrefix(context, prefix.embed, geometry, {
    rematerialize,
    ...(targets ? { rows: targets.rows } : {}),
  });
  tapGeometry(context, "vlm", geometry);
  tap("prefix_out", finalNorm(context, vlm.hidden));
  const language = () => languageLosses(context, vlm, targets!, prefix.textStart);
  if (!flow) return language();

  const suffix = embedSuffix(context, { xT: flow.xT, time: flow.time, ...(state ? { state } : {}) });
  let { layers } = vlm;
  if (ki && config.kiForm === "two-pass") {
    const second = promptOnly(geometry);
    layers = runPrefix(context, prefix.embed, second, { rematerialize, scope: "vlm_prompt" }).layers;
  }
  if (insulate) layers = layers.map(insulated);
  const seen = suffixGeometry(geometry.promptValid, suffix);
  tapJointMask(context, geometry, seen.visible);
  tap("positions", concat([geometry.positions, seen.positions], 1));
  const expert = runSuffix(context, suffix, layers, seen, { rematerialize });
  expert.layers.forEach(({ k, v }, i) => {
    tap(`kv_k/${i}`, k);
    tap(`kv_v/${i}`, v);
  });
  tap("suffix_out", expert.hidden);
  const action = flowLoss(context, velocity(context, expert.hidden), flow);
  if (!targets) return { total: action, action_loss: action };
  const { total, ...fast } = language();
  return { total: add(action, total), action_loss: action, ...fast };
}

/** The VLM's part of the losses: λ · fast_loss is its total. */
function languageLosses(
  context: ModelContext,
  { rows, hidden }: PrefixResult,
  targets: FastTargets,
  textStart: number,
): Losses {
  const { loss, accuracy } = fastLoss(context, rows, targets);
  context.tap("logits", textLogits(context, hidden, textStart));
  return {
    total: mul(loss, lossWeights(context.config).fast_loss),
    fast_loss: loss,
    fast_accuracy: accuracy,
  };
}

/** Keys and values that no gradient leaves. */
function insulated({ k, v }: KeysValues): KeysValues {
  return { k: stopGradient(k), v: stopGradient(v) };
}

/** The same sequence with the FAST tokens taken out: the second pass of the two-pass form. */
function promptOnly({
  promptValid,
  positions,
  visible,
}: PrefixGeometry): Pick<PrefixGeometry, "visible" | "positions"> {
  const [b, s] = promptValid.shape as [number, number];
  const prompt = and(reshape(promptValid, [b, s, 1]), reshape(promptValid, [b, 1, s]));
  return { visible: and(visible, prompt), positions };
}

/** pi0_fast: next-token prediction over the whole sequence but its last token; positions count padding too. */
function autoregressiveLosses(
  context: ModelContext,
  { lossRows, rematerialize = false }: LossOptions,
): Losses {
  const { config, graph, batchSize: b, tap } = context;
  const text = textInputs(context, true);
  const lossMask = input(graph, "token_loss_mask", "bool", [b, config.maxTokenLen]);
  const prefix = embedPrefix(context, text, rematerialize);
  tap("embed", prefix.embed);
  tap("input_mask", prefix.valid);
  tap("ar_mask", prefix.ar!);
  const whole = prefixGeometry(prefix);
  tap("attn_mask", whole.visible);
  const s = prefix.embed.shape[1]! - 1;
  const positions = expand(
    constant(
      graph,
      Array.from({ length: s }, (_, i) => i),
      [1, s],
      "int32",
    ),
    [b, s],
  );
  const visible = slice(slice(whole.visible, 0, s, 1), 0, s, 2);
  const targets = fastTargets(context, {
    tokens: text.tokens,
    lossMask,
    textStart: prefix.textStart,
    length: s,
    bound: lossRows ?? config.maxTokenLen - 1,
  });
  // The last token predicts nothing: the sequence ends one earlier.
  const { hidden, rows } = runPrefix(
    context,
    slice(prefix.embed, 0, s, 1),
    { visible, positions },
    { rematerialize, rows: targets.rows },
  );
  tap("pre_logits", finalNorm(context, hidden));
  tap("logits", textLogits(context, hidden, prefix.textStart));
  const fast = fastLoss(context, rows, targets);
  return { total: fast.loss, fast_loss: fast.loss, fast_accuracy: fast.accuracy };
}

function tapGeometry({ tap }: ModelContext, name: string, { visible, positions }: PrefixGeometry): void {
  tap(`attn_mask_${name}`, visible);
  tap(`positions_${name}`, positions);
}

/** The joint mask `[b, s + a, s + a]` that the two separate attentions amount to. */
function tapJointMask(
  { tap, graph }: ModelContext,
  { visible, promptValid }: PrefixGeometry,
  suffixVisible: Value,
): void {
  const [b, s] = visible.shape as [number, number];
  const a = suffixVisible.shape[1]!;
  const none = expand(constant(graph, [0], [1, 1, 1], "bool"), [b, s, a]);
  tap("attn_mask", concat([concat([visible, none], 2), suffixVisible], 1));
  const prompt = and(reshape(promptValid, [b, s, 1]), reshape(promptValid, [b, 1, s]));
  tap("attn_mask_pass2", concat([concat([prompt, none], 2), suffixVisible], 1));
}
