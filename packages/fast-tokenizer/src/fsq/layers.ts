/**
 * @file The layers of a small transformer on rows `[n, width]` of float32, as flax computes them: dense, layer norm,
 * attention, GeGLU. Sums are made in float64.
 */

/** `[data.length / width, width]`, row-major. */
export interface Rows {
  data: Float32Array;
  width: number;
}

/** A kernel `[inputs, outputs]` and a bias `[outputs]`; further axes of either side are joined. */
export interface Dense {
  kernel: Float32Array;
  bias: Float32Array;
}

/** x · kernel + bias. Four inputs at a time: the sums are read and written a quarter as often. */
export function dense({ data, width }: Rows, { kernel, bias }: Dense): Rows {
  const outputs = bias.length;
  const out = new Float32Array((data.length / width) * outputs);
  const sums = new Float64Array(outputs);
  const fours = width - (width % 4);
  for (let from = 0, to = 0; from < data.length; from += width, to += outputs) {
    sums.set(bias);
    for (let i = 0; i < fours; i += 4) {
      const [a, b, c, d] = [data[from + i]!, data[from + i + 1]!, data[from + i + 2]!, data[from + i + 3]!];
      const at = i * outputs;
      for (let o = at; o < at + outputs; o++) {
        sums[o - at]! +=
          a * kernel[o]! +
          b * kernel[o + outputs]! +
          c * kernel[o + 2 * outputs]! +
          d * kernel[o + 3 * outputs]!;
      }
    }
    for (let i = fours; i < width; i++) {
      const x = data[from + i]!;
      for (let o = 0; o < outputs; o++) sums[o]! += x * kernel[i * outputs + o]!;
    }
    out.set(sums, to);
  }
  return { data: out, width: outputs };
}

/** Mean 0, variance 1 over each row (ε 1e-6), times scale, plus bias. */
export function layerNorm({ data, width }: Rows, scale: Float32Array, bias: Float32Array): Rows {
  const out = new Float32Array(data.length);
  for (let from = 0; from < data.length; from += width) {
    let [sum, squares] = [0, 0];
    for (let i = 0; i < width; i++) sum += data[from + i]!;
    const mean = sum / width;
    for (let i = 0; i < width; i++) squares += (data[from + i]! - mean) ** 2;
    const inverse = 1 / Math.sqrt(squares / width + 1e-6);
    for (let i = 0; i < width; i++) {
      out[from + i] = (data[from + i]! - mean) * inverse * scale[i]! + bias[i]!;
    }
  }
  return { data: out, width };
}

/** The four projections of an attention. */
export interface Attention {
  query: Dense;
  key: Dense;
  value: Dense;
  out: Dense;
}

/**
 * Multi-head attention of `x` `[q, d]` over `y` `[k, d]`.
 * @param mask whether query i sees key j. A query that sees none weighs all alike, as flax's finite mask has it.
 */
export function attention(
  x: Rows,
  y: Rows,
  params: Attention,
  heads: number,
  mask?: (i: number, j: number) => boolean,
): Rows {
  const [q, k, v] = [dense(x, params.query), dense(y, params.key), dense(y, params.value)];
  const { width } = q;
  const size = width / heads;
  const [queries, keys] = [q.data.length / width, k.data.length / width];
  const mixed = new Float32Array(q.data.length);
  const weights = new Float64Array(keys);
  for (let i = 0; i < queries; i++) {
    for (let h = 0; h < heads; h++) {
      const at = i * width + h * size;
      for (let j = 0; j < keys; j++) {
        let logit = 0;
        for (let c = 0; c < size; c++) logit += q.data[at + c]! * k.data[j * width + h * size + c]!;
        weights[j] = mask && !mask(i, j) ? MASKED : logit / Math.sqrt(size);
      }
      softmax(weights);
      for (let c = 0; c < size; c++) {
        let sum = 0;
        for (let j = 0; j < keys; j++) sum += weights[j]! * v.data[j * width + h * size + c]!;
        mixed[at + c] = sum;
      }
    }
  }
  return dense({ data: mixed, width }, params.out);
}

/** float32's lowest number. */
const MASKED = -3.4028234663852886e38;

function softmax(logits: Float64Array): void {
  let max = -Infinity;
  for (const x of logits) max = Math.max(max, x);
  let sum = 0;
  for (let j = 0; j < logits.length; j++) {
    logits[j] = Math.exp(logits[j]! - max);
    sum += logits[j]!;
  }
  for (let j = 0; j < logits.length; j++) logits[j]! /= sum;
}

/** The first half of `gates(x)` times gelu (by tanh) of the second. */
export function geglu(x: Rows, gates: Dense): Rows {
  const { data, width } = dense(x, gates);
  const half = width / 2;
  const out = new Float32Array(data.length / 2);
  for (let from = 0, to = 0; from < data.length; from += width, to += half) {
    for (let i = 0; i < half; i++) out[to + i] = data[from + i]! * gelu(data[from + half + i]!);
  }
  return { data: out, width: half };
}

const gelu = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

/** a + b, of one shape. */
export function add(a: Rows, b: Rows): Rows {
  return { data: a.data.map((x, i) => x + b.data[i]!), width: a.width };
}
