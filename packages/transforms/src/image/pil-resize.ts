/**
 * @file Pillow's bilinear `Image.resize` for 8-bit images, bit for bit (`libImaging/Resample.c`): a triangle
 * filter, widened by the scale when shrinking (antialias); coefficients in 22-bit fixed point; first
 * horizontally, then vertically, rounded to 8 bits between. Browsers' and libvips' resizers give other pixels.
 */
import { InsulaError } from "@insula/model-types";

const PRECISION_BITS = 22;
const HALF = 1 << (PRECISION_BITS - 1);

/** For each output position: where its window starts, how long it is, and its fixed-point weights. */
interface Coefficients {
  starts: Int32Array;
  lengths: Int32Array;
  /** `[out, stride]` */
  weights: Int32Array;
  stride: number;
}

/** Tables by `in→out`. A robot has a handful of camera sizes; the bound only guards against hostile input. */
const cache = new Map<string, Coefficients>();
const MAX_TABLES = 256;

function coefficients(inSize: number, outSize: number): Coefficients {
  const key = `${inSize}>${outSize}`;
  let table = cache.get(key);
  if (table === undefined) {
    table = computeCoefficients(inSize, outSize);
    if (cache.size >= MAX_TABLES) cache.clear();
    cache.set(key, table);
  }
  return table;
}

/** `precompute_coeffs` and `normalize_coeffs_8bpc`. */
function computeCoefficients(inSize: number, outSize: number): Coefficients {
  const scale = inSize / outSize;
  const filterScale = Math.max(scale, 1);
  const support = filterScale; // the triangle filter reaches 1 to either side
  const stride = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(outSize);
  const lengths = new Int32Array(outSize);
  const weights = new Int32Array(outSize * stride);
  const window = new Float64Array(stride);
  const inverse = 1 / filterScale;
  for (let o = 0; o < outSize; o++) {
    const center = (o + 0.5) * scale;
    const start = Math.max(Math.trunc(center - support + 0.5), 0);
    const length = Math.min(Math.trunc(center + support + 0.5), inSize) - start;
    let sum = 0;
    for (let i = 0; i < length; i++) {
      const w = Math.max(1 - Math.abs((i + start - center + 0.5) * inverse), 0);
      window[i] = w;
      sum += w;
    }
    starts[o] = start;
    lengths[o] = length;
    for (let i = 0; i < length; i++) {
      const w = sum === 0 ? window[i]! : window[i]! / sum;
      weights[o * stride + i] = Math.trunc(0.5 + w * (1 << PRECISION_BITS));
    }
  }
  return { starts, lengths, weights, stride };
}

/**
 * Resize one interleaved image `[inHeight, inWidth, channels]` to `[outHeight, outWidth, channels]`.
 * @throws InsulaError `image/size` when a side is not positive.
 */
export function resizeBilinear(
  src: Uint8Array,
  inHeight: number,
  inWidth: number,
  outHeight: number,
  outWidth: number,
  channels: number,
): Uint8Array {
  if (!(inHeight > 0 && inWidth > 0 && outHeight > 0 && outWidth > 0)) {
    throw new InsulaError(
      "image/size",
      `resizeBilinear: cannot resize ${inHeight}×${inWidth} to ${outHeight}×${outWidth}: sides must be positive`,
    );
  }
  const wide =
    inWidth === outWidth
      ? src
      : channels === 3
        ? horizontalRgb(src, inHeight, inWidth, outWidth)
        : horizontal(src, inHeight, inWidth, outWidth, channels);
  return inHeight === outHeight ? wide.slice() : vertical(wide, inHeight, outHeight, outWidth * channels);
}

function horizontalRgb(src: Uint8Array, height: number, inWidth: number, outWidth: number): Uint8Array {
  const { starts, lengths, weights, stride } = coefficients(inWidth, outWidth);
  const out = new Uint8Array(height * outWidth * 3);
  let at = 0;
  for (let y = 0; y < height; y++) {
    const row = y * inWidth * 3;
    for (let x = 0; x < outWidth; x++) {
      let r = HALF;
      let g = HALF;
      let b = HALF;
      let i = row + starts[x]! * 3;
      const first = x * stride;
      const end = first + lengths[x]!;
      for (let k = first; k < end; k++) {
        const w = weights[k]!;
        r += src[i]! * w;
        g += src[i + 1]! * w;
        b += src[i + 2]! * w;
        i += 3;
      }
      out[at++] = r >> PRECISION_BITS;
      out[at++] = g >> PRECISION_BITS;
      out[at++] = b >> PRECISION_BITS;
    }
  }
  return out;
}

function horizontal(
  src: Uint8Array,
  height: number,
  inWidth: number,
  outWidth: number,
  channels: number,
): Uint8Array {
  const { starts, lengths, weights, stride } = coefficients(inWidth, outWidth);
  const out = new Uint8Array(height * outWidth * channels);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < outWidth; x++) {
      const from = (y * inWidth + starts[x]!) * channels;
      for (let c = 0; c < channels; c++) {
        let sum = HALF;
        for (let k = 0; k < lengths[x]!; k++) sum += src[from + k * channels + c]! * weights[x * stride + k]!;
        out[at++] = sum >> PRECISION_BITS;
      }
    }
  }
  return out;
}

/** Rows of `rowLength` bytes; row by row, so that memory is read in order. */
function vertical(src: Uint8Array, inHeight: number, outHeight: number, rowLength: number): Uint8Array {
  const { starts, lengths, weights, stride } = coefficients(inHeight, outHeight);
  const out = new Uint8Array(outHeight * rowLength);
  const sums = new Int32Array(rowLength);
  for (let y = 0; y < outHeight; y++) {
    sums.fill(HALF);
    for (let k = 0; k < lengths[y]!; k++) {
      const w = weights[y * stride + k]!;
      const row = (starts[y]! + k) * rowLength;
      for (let i = 0; i < rowLength; i++) sums[i]! += src[row + i]! * w;
    }
    const at = y * rowLength;
    for (let i = 0; i < rowLength; i++) out[at + i] = sums[i]! >> PRECISION_BITS;
  }
  return out;
}
