/**
 * @file Pillow's bilinear `Image.resize` for 8-bit images, bit for bit (`libImaging/Resample.c`): first
 * horizontally, then vertically, in 22-bit fixed point, rounded to 8 bits between. Browsers' and libvips' resizers
 * give other pixels.
 */
import { InsulaError } from "@insula/model-types";
import { coefficients } from "./coefficients.js";
import { PRECISION_BITS } from "./wasm/kernels.js";
import { resizeRgbSimd } from "./wasm/resize.js";

const HALF = 1 << (PRECISION_BITS - 1);

/**
 * Resize one interleaved image `[inHeight, inWidth, channels]` to `[outHeight, outWidth, channels]`. RGB goes
 * through SIMD code where there is WebAssembly.
 * @throws InsulaError `image/size` when a side is not a positive integer or `src` is not of that size.
 */
export function resizeBilinear(
  src: Uint8Array,
  inHeight: number,
  inWidth: number,
  outHeight: number,
  outWidth: number,
  channels: number,
): Uint8Array {
  checkSize(src, inHeight, inWidth, outHeight, outWidth, channels);
  const out = new Uint8Array(outHeight * outWidth * channels);
  resizeInto(src, inHeight, inWidth, outHeight, outWidth, channels, out, 0, outWidth * channels);
  return out;
}

/** @throws InsulaError `image/size`. */
export function checkSize(
  src: Uint8Array,
  inHeight: number,
  inWidth: number,
  outHeight: number,
  outWidth: number,
  channels: number,
): void {
  const sides = [inHeight, inWidth, outHeight, outWidth, channels];
  if (sides.every((n) => Number.isSafeInteger(n) && n > 0) && src.length === inHeight * inWidth * channels) {
    return;
  }
  throw new InsulaError(
    "image/size",
    `resizeBilinear: cannot resize ${inHeight}×${inWidth} to ${outHeight}×${outWidth}: sides must be positive, ` +
      `and ${inHeight * inWidth * channels} bytes of ${channels} channels there, found ${src.length}`,
  );
}

/** As {@link resizeBilinear}, into `out` from byte `at` on, whose rows are `outStride` bytes apart. */
export function resizeInto(
  src: Uint8Array,
  inHeight: number,
  inWidth: number,
  outHeight: number,
  outWidth: number,
  channels: number,
  out: Uint8Array,
  at: number,
  outStride: number,
): void {
  if (channels === 3 && resizeRgbSimd(src, inHeight, inWidth, outHeight, outWidth, out, at, outStride))
    return;
  const rows = horizontal(src, inHeight, inWidth, outWidth, channels);
  vertical(rows, inHeight, outHeight, outWidth * channels, out, at, outStride);
}

/** The plain loops for all channel counts. */
export function horizontal(
  src: Uint8Array,
  height: number,
  inWidth: number,
  outWidth: number,
  channels: number,
): Uint8Array {
  const { starts, lengths, weights, taps } = coefficients(inWidth, outWidth);
  const out = new Uint8Array(height * outWidth * channels);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < outWidth; x++) {
      const from = (y * inWidth + starts[x]!) * channels;
      const first = x * taps;
      for (let c = 0; c < channels; c++) {
        let sum = HALF;
        for (let k = 0; k < lengths[x]!; k++) {
          sum = (sum + Math.imul(src[from + k * channels + c]!, weights[first + k]!)) | 0;
        }
        out[at++] = sum >> PRECISION_BITS;
      }
    }
  }
  return out;
}

/** Rows of `rowLength` bytes; row by row, so that memory is read in order. */
export function vertical(
  src: Uint8Array,
  inHeight: number,
  outHeight: number,
  rowLength: number,
  out: Uint8Array,
  at: number,
  outStride: number,
): void {
  const { starts, lengths, weights, taps } = coefficients(inHeight, outHeight);
  const sums = new Int32Array(rowLength);
  for (let y = 0; y < outHeight; y++) {
    sums.fill(HALF);
    for (let k = 0; k < lengths[y]!; k++) {
      const w = weights[y * taps + k]!;
      const row = (starts[y]! + k) * rowLength;
      for (let i = 0; i < rowLength; i++) sums[i] = (sums[i]! + Math.imul(src[row + i]!, w)) | 0;
    }
    const to = at + y * outStride;
    for (let i = 0; i < rowLength; i++) out[to + i] = sums[i]! >> PRECISION_BITS;
  }
}
