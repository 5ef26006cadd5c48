/**
 * @file The layer that every library computes: a pre-norm transformer layer without mask, float32, one sequence.
 *
 *     a = x + attention(layerNorm₁(x)·qkv.kernel + qkv.bias)·out.kernel + out.bias
 *     y = a + gelu(layerNorm₂(a)·up.kernel + up.bias)·down.kernel + down.bias
 *     loss = mean(y²)
 *
 * x `[T, D]`. The columns of qkv.kernel are queries, keys and values, head by head within each; scores are scaled by
 * (D / HEADS)^-½. GELU is the tanh form. Wanted: the loss and its gradients for x and all parameters.
 */

export const T = 128;
export const D = 256;
export const HEADS = 4;
export const HEAD_DIM = D / HEADS;
export const FF = 1024;
export const EPSILON = 1e-6;

/** Everything that is differentiated, by name. */
export const SHAPES = {
  x: [T, D],
  "ln1.scale": [D],
  "ln1.bias": [D],
  "qkv.kernel": [D, 3 * D],
  "qkv.bias": [3 * D],
  "out.kernel": [D, D],
  "out.bias": [D],
  "ln2.scale": [D],
  "ln2.bias": [D],
  "up.kernel": [D, FF],
  "up.bias": [FF],
  "down.kernel": [FF, D],
  "down.bias": [D],
};
export const NAMES = Object.keys(SHAPES);

/** Floating-point operations of the matrix products, forward and backward. */
export const FLOPS = 3 * (2 * T * (4 * D * D + 2 * D * FF) + 2 * 2 * T * T * D);

/** The same values in every process: uniform, scales near 1, kernels by fan-in. */
export function drawValues() {
  let state = 20;
  const uniform = () => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
  const values = {};
  for (const [name, shape] of Object.entries(SHAPES)) {
    const length = shape.reduce((n, d) => n * d, 1);
    const width = name === "x" ? 1.7 : name.endsWith(".kernel") ? Math.sqrt(3 / shape[0]) : 0.3;
    const centre = name.endsWith(".scale") ? 1 : 0;
    values[name] = Float32Array.from({ length }, () => centre + width * uniform());
  }
  return values;
}
