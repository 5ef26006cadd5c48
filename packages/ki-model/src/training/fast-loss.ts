/**
 * @file The FAST loss: cross-entropy of the next token where the *target* carries loss, mean per sample, then
 * mean over the batch (openpi `models/pi0_fast.py` `compute_loss`).
 *
 * Logits are computed for the rows that count only. Which rows these are is data, but their number has a
 * static bound, so the graph compacts the mask itself: the r-th row of a sample is the first one at which the
 * running count of targets exceeds r.
 */
import {
  add,
  argMax,
  cast,
  constant,
  cumSum,
  div,
  equal,
  gather,
  greater,
  lessOrEqual,
  logSoftmaxAt,
  maximum,
  meanAll,
  minimum,
  mul,
  neg,
  reduceSum,
  reshape,
  slice,
  sumAll,
  type Value,
  withScope,
} from "@insula/onnx-grad";
import type { ModelContext } from "../model/context.js";
import { vocabularyLogits } from "../model/prefix.js";
import type { Rows } from "../model/rows.js";

export interface FastLoss {
  /** Scalar. */
  loss: Value;
  /** Scalar: share of targets that are the most likely token. */
  accuracy: Value;
  /** `[b]` */
  perExample: Value;
}

/** The rows that predict a target, and the targets. */
export interface FastTargets {
  /** Rows of the whole sequence. */
  rows: Rows;
  /** int32 `[b·r]`: the token that each row predicts. */
  target: Value;
  /** float32 `[b, r]`: 1 where there is a target. */
  counted: Value;
  /** float32 `[b, 1]`: targets per sample. */
  count: Value;
}

/**
 * Find the rows that the loss reads.
 * @param tokens int32 `[b, l]`; text row i stands at `textStart + i` of the sequence and predicts token i + 1
 * @param lossMask bool `[b, l]`
 * @param length of the sequence
 * @param bound on the targets per sample, at most l − 1
 */
export function fastTargets(
  { graph }: ModelContext,
  {
    tokens,
    lossMask,
    textStart,
    length,
    bound,
  }: { tokens: Value; lossMask: Value; textStart: number; length: number; bound: number },
): FastTargets {
  const [b, l] = tokens.shape as [number, number];
  return withScope(graph, "fast_targets", () => {
    const targets = cast(slice(lossMask, 1, l - 1, 1), "int32"); // [b, l-1]
    const count = reduceSum(cast(targets, "float32"), [1], true); // [b, 1]
    const running = reshape(cumSum(targets, 1), [b, 1, l - 1]);
    const rank = constant(graph, range(bound), [1, bound, 1], "int32");
    // Number of positions whose running count is ≤ r: the index of target r, or l-1 when there is none.
    const before = reduceSum(cast(lessOrEqual(running, rank), "float32"), [2]); // exact: counts below 2^24
    const row = minimum(cast(before, "int64"), l - 2); // [b, r]
    const offset = (stride: number, base: number) =>
      constant(
        graph,
        range(b).map((i) => i * stride + base),
        [b, 1],
        "int64",
      );
    return {
      rows: { index: reshape(add(row, offset(length, textStart)), [b * bound]), perSample: bound },
      target: gather(reshape(tokens, [b * l]), reshape(add(row, offset(l, 1)), [b * bound])),
      counted: cast(greater(count, constant(graph, range(bound), [1, bound])), "float32"),
      count,
    };
  });
}

/** @param hidden `[b, r, vlmWidth]`: the rows of `targets`, before the final norm */
export function fastLoss(
  context: ModelContext,
  hidden: Value,
  { target, counted, count }: Omit<FastTargets, "rows">,
): FastLoss {
  const { graph, tap } = context;
  const [b, r, w] = hidden.shape as [number, number, number];
  return withScope(graph, "fast_loss", () => {
    const logits = vocabularyLogits(context, reshape(hidden, [b * r, w]));
    const targetIds = cast(reshape(target, [b * r, 1]), "int64");
    const nll = reshape(neg(logSoftmaxAt(logits, targetIds)), [b, r]);
    const perExample = tap(
      "fast_loss_per_example",
      div(reduceSum(mul(nll, counted), [1]), maximum(reshape(count, [b]), 1)),
    );
    const right = cast(equal(argMax(logits, 1), reshape(targetIds, [b * r])), "float32");
    const total = maximum(sumAll(counted), 1);
    return {
      loss: meanAll(perExample),
      accuracy: div(sumAll(mul(reshape(right, [b, r]), counted)), total),
      perExample,
    };
  });
}

function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

/** Logits of all text rows but the last, `[b, l−1, vocab]`: what the loss would see without compaction. For inspection. */
export function textLogits(context: ModelContext, hidden: Value, textStart: number): Value {
  const l = context.config.maxTokenLen;
  return vocabularyLogits(context, slice(hidden, textStart, l - 1, 1));
}
