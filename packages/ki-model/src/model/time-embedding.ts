/**
 * @file Sine-cosine embedding of the flow time (openpi `models/pi0.py` `posemb_sincos`).
 */
import { concat, constant, cos, mul, reshape, sin, type Value } from "@insula/onnx-grad";

const MIN_PERIOD = 4e-3;
const MAX_PERIOD = 4.0;

/**
 * `time` `[b]` → `[b, width]`: sines then cosines of 2πt/period, periods geometric from 4e-3 to 4. The angles reach
 * 1570 rad, where the last bit of a frequency shows; so the frequencies are rounded after every operation, as the
 * reference's float32 arithmetic does.
 */
export function timeEmbedding(time: Value, width: number): Value {
  const half = width / 2;
  const f = Math.fround;
  const step = half === 1 ? 0 : f(1 / (half - 1));
  const angular = Array.from({ length: half }, (_, i) => {
    const fraction = half > 1 && i === half - 1 ? 1 : f(i * step); // jnp.linspace
    const period = f(f(MIN_PERIOD) * f((MAX_PERIOD / MIN_PERIOD) ** fraction));
    return f(f(f(1 / period) * 2) * f(Math.PI));
  });
  const angle = mul(reshape(time, [time.shape[0]!, 1]), constant(time.graph, angular, [1, half]));
  return concat([sin(angle), cos(angle)], 1);
}
