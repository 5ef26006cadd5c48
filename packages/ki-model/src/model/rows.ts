/**
 * @file Some rows of a sequence. Behind the last layer nobody reads most of them: the expert wants keys and values,
 * the FAST loss the rows that predict a target. The last layer then computes just those.
 */
import { gather, reshape, type Value } from "@insula/onnx-grad";

/** Rows of sequences of length s: int64 `[b·r]`, row i of sample j is j·s + i. */
export interface Rows {
  index: Value;
  /** r */
  perSample: number;
}

/** `[b, s, …]` → `[b, r, …]` */
export function takeRows(x: Value, { index, perSample }: Rows): Value {
  const [b, s, ...rest] = x.shape as [number, number, ...number[]];
  return reshape(gather(reshape(x, [b * s, ...rest]), index), [b, perSample, ...rest]);
}
