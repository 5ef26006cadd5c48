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
  gatherElements,
  greater,
  lessOrEqual,
  logSoftmax,
  matmul,
  matrixTranspose,
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
import { finalNorm } from "../model/prefix.js";

export interface FastLoss {
  /** Scalar. */
  loss: Value;
  /** Scalar: share of targets that are the most likely token. */
  accuracy: Value;
  /** `[b]` */
  perExample: Value;
}

/**
 * @param hidden `[b, s, vlmWidth]`, before the final norm
 * @param tokens int32 `[b, l]`; text row r stands at `textStart + r` and predicts token r + 1
 * @param lossMask bool `[b, l]`
 * @param rows bound on the targets per sample, at most l − 1
 */
export function fastLoss(
  context: ModelContext,
  {
    hidden,
    tokens,
    lossMask,
    textStart,
    rows,
  }: { hidden: Value; tokens: Value; lossMask: Value; textStart: number; rows: number },
): FastLoss {
  const { graph, param, tap } = context;
  const [b, s, w] = hidden.shape as [number, number, number];
  const l = tokens.shape[1]!;
  return withScope(graph, "fast_loss", () => {
    const targets = cast(slice(lossMask, 1, l - 1, 1), "int32"); // [b, l-1]
    const count = reduceSum(cast(targets, "float32"), [1], true); // [b, 1]
    const running = reshape(cumSum(targets, 1), [b, 1, l - 1]);
    const rank = constant(graph, range(rows), [1, rows, 1], "int32");
    // Number of positions whose running count is ≤ r: the index of target r, or l-1 when there is none.
    const before = reduceSum(cast(lessOrEqual(running, rank), "float32"), [2]); // exact: counts below 2^24
    const row = minimum(cast(before, "int64"), l - 2); // [b, rows]
    const offset = (stride: number, base: number) =>
      constant(
        graph,
        range(b).map((i) => i * stride + base),
        [b, 1],
        "int64",
      );
    const hiddenRows = gather(
      reshape(hidden, [b * s, w]),
      reshape(add(row, offset(s, textStart)), [b * rows]),
    );
    const target = gather(reshape(tokens, [b * l]), reshape(add(row, offset(l, 1)), [b * rows]));
    const counted = cast(greater(count, constant(graph, range(rows), [1, rows])), "float32"); // [b, rows]

    const logits = matmul(
      finalNorm(context, hiddenRows),
      matrixTranspose(param("PaliGemma/llm/embedder/input_embedding")),
    );
    const targetIds = cast(reshape(target, [b * rows, 1]), "int64");
    const nll = reshape(neg(gatherElements(logSoftmax(logits), targetIds, 1)), [b, rows]);
    const perExample = tap(
      "fast_loss_per_example",
      div(reduceSum(mul(nll, counted), [1]), maximum(reshape(count, [b]), 1)),
    );
    const right = cast(equal(argMax(logits, 1), reshape(targetIds, [b * rows])), "float32");
    const total = maximum(sumAll(counted), 1);
    return {
      loss: meanAll(perExample),
      accuracy: div(sumAll(mul(reshape(right, [b, rows]), counted)), total),
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
  const text = finalNorm(context, slice(hidden, textStart, l - 1, 1));
  return matmul(text, matrixTranspose(context.param("PaliGemma/llm/embedder/input_embedding")));
}
