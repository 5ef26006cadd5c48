/**
 * @file Sine-cosine embedding of the flow time (openpi `models/pi0.py` `posemb_sincos`).
 */
import { concat, constant, cos, mul, reshape, sin, type Value } from "@insula/onnx-grad";

const MIN_PERIOD = 4e-3;
const MAX_PERIOD = 4.0;

/** `time` `[b]` → `[b, width]`: sines then cosines of 2πt/period, periods geometric from 4e-3 to 4. */
export function timeEmbedding(time: Value, width: number): Value {
  const half = width / 2;
  const angular = Array.from({ length: half }, (_, i) => {
    const fraction = half === 1 ? 0 : i / (half - 1);
    return Math.fround((2 * Math.PI) / (MIN_PERIOD * (MAX_PERIOD / MIN_PERIOD) ** fraction));
  });
  const angle = mul(reshape(time, [time.shape[0]!, 1]), constant(time.graph, angular, [1, half]));
  return concat([sin(angle), cos(angle)], 1);
}
