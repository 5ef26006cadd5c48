/**
 * @file The resize inside the reference model (`shared/image_tools.py` on `jax.image.resize`, linear with
 * antialias): float32 weights, no rounding between the passes. Its pixels differ from Pillow's by at most one
 * level; the model applies it only when an image does not have its size already.
 */
import { InsulaError, type NdArray, sizeOf } from "@insula/model-types";
import { checkShape, shapeText } from "../arrays.js";
import { fittedSize } from "./resize-with-pad.js";

const f = Math.fround;

/** Weight tables with more entries than this are computed at run time, smaller ones folded by XLA beforehand. */
const FOLDED = 16_384;

/**
 * Float32 weights `[out, in]`, as windows: the first input of each output and its weights. The formula is
 * `jax.image`'s triangle kernel. XLA folds small tables operation by operation; in the code it compiles for
 * larger ones, multiply-adds round once: the sample's in the weights, the kernel's in their sum. Found by
 * fitting the reference's outputs; it decides pixels whose value is a tie.
 */
function weights(inSize: number, outSize: number): { start: number; values: number[] }[] {
  const inverse = f(1 / (outSize / inSize));
  const kernelScale = Math.max(inverse, 1);
  const slope = f(1 / kernelScale);
  const compiled = inSize * outSize > FOLDED;
  return Array.from({ length: outSize }, (_, o) => {
    const product = f(o + 0.5) * inverse; // exact in float64
    const sample = f(f(product) - 0.5);
    const fused = compiled ? f(product - 0.5) : sample;
    const start = Math.max(0, Math.ceil(sample - kernelScale));
    const end = Math.min(inSize - 1, Math.floor(sample + kernelScale));
    const values: number[] = [];
    let sum = 0;
    for (let i = start; i <= end; i++) {
      values.push(Math.max(0, f(1 - f(f(Math.abs(fused - i)) * slope))));
      const drop = f(Math.abs(sample - i)) * slope;
      sum = f(sum + Math.max(0, f(1 - (compiled ? drop : f(drop)))));
    }
    return { start, values: values.map((w) => f(w / sum)) };
  });
}

/**
 * Letterbox `[…, h, w, c]` images to `[…, height, width, c]` as the reference model does: uint8 rounded half to
 * even and padded with 0, float32 in -1…1 clipped and padded with -1.
 * @throws InsulaError `image/dtype` for other element types, `image/rank`, `image/size`.
 */
export function resizeWithPadJax<T extends Uint8Array | Float32Array>(
  image: NdArray<T>,
  height: number,
  width: number,
): NdArray<T> {
  const { data: src, shape } = image;
  const isByte = src instanceof Uint8Array;
  if (!isByte && !(src instanceof Float32Array)) {
    const found = (src as { constructor: { name: string } }).constructor.name;
    throw new InsulaError("image/dtype", `resizeWithPadJax: expected uint8 or float32, found ${found}`);
  }
  if (shape.length < 3) {
    throw new InsulaError(
      "image/rank",
      `resizeWithPadJax: expected [..., h, w, c], found ${shapeText(shape)}`,
    );
  }
  checkShape("resizeWithPadJax", "image", image);
  const [h, w, channels] = shape.slice(-3) as [number, number, number];
  const fitted = fittedSize(h, w, height, width);
  // negated, so that the NaN of an empty image is caught too
  if (!(fitted.height >= 1 && fitted.width >= 1)) {
    throw new InsulaError(
      "image/size",
      `resizeWithPadJax: an image of ${h}×${w} has no pixels left when fitted into ${height}×${width}`,
    );
  }
  const top = Math.floor((height - fitted.height) / 2);
  const left = Math.floor((width - fitted.width) / 2);
  const count = sizeOf(shape.slice(0, -3));
  const size = count * height * width * channels;
  const out = isByte ? new Uint8Array(size) : new Float32Array(size).fill(-1);
  for (let n = 0; n < count; n++) {
    const one = src.subarray(n * h * w * channels, (n + 1) * h * w * channels);
    const small = resizeLinear(one, h, w, fitted.height, fitted.width, channels);
    for (let y = 0; y < fitted.height; y++) {
      const at = ((n * height + top + y) * width + left) * channels;
      for (let i = 0; i < fitted.width * channels; i++) {
        const v = small[y * fitted.width * channels + i]!;
        out[at + i] = isByte ? roundHalfEven(Math.min(Math.max(v, 0), 255)) : Math.min(Math.max(v, -1), 1);
      }
    }
  }
  return { data: out as T, shape: [...shape.slice(0, -3), height, width, channels] };
}

/** Height first, then width, accumulated in float32 with fused multiply-adds. An axis that keeps its size is left alone. */
function resizeLinear(
  src: ArrayLike<number>,
  h: number,
  w: number,
  outH: number,
  outW: number,
  channels: number,
): ArrayLike<number> {
  const rowLength = w * channels;
  let rows: ArrayLike<number> = src;
  if (outH !== h) {
    const out = new Float32Array(outH * rowLength);
    for (const [y, { start, values }] of weights(h, outH).entries()) {
      for (let i = 0; i < rowLength; i++) {
        let sum = 0;
        for (let k = 0; k < values.length; k++) sum = f(sum + src[(start + k) * rowLength + i]! * values[k]!);
        out[y * rowLength + i] = sum;
      }
    }
    rows = out;
  }
  if (outW === w) return rows;
  const out = new Float32Array(outH * outW * channels);
  const table = weights(w, outW);
  for (let y = 0; y < outH; y++) {
    for (const [x, { start, values }] of table.entries()) {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let k = 0; k < values.length; k++) {
          sum = f(sum + rows[(y * w + start + k) * channels + c]! * values[k]!);
        }
        out[(y * outW + x) * channels + c] = sum;
      }
    }
  }
  return out;
}

function roundHalfEven(v: number): number {
  const floor = Math.floor(v);
  const rest = v - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
