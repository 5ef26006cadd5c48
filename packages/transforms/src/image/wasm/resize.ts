/**
 * @file RGB images through the SIMD kernels. One instance and one memory, which grows to the largest image seen;
 * nothing else is allocated. Where WebAssembly is missing or forbidden (a content security policy without
 * `wasm-unsafe-eval`) there is none, and the plain loops do the same.
 */
import { coefficients } from "../coefficients.js";
import { wasmModule } from "./assembler.js";
import { horizontalKernel, verticalKernel } from "./kernels.js";

/** What is used of WebAssembly; its types are part of DOM's, which this package does without. */
interface Wasm {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: Record<string, unknown> };
}

interface Kernels {
  memory: { buffer: ArrayBuffer; grow(pages: number): number };
  horizontal(...args: number[]): void;
  vertical(...args: number[]): void;
}

const PAGE = 65_536;
/** Larger images are left to the plain loops, so that the memory stays small. */
const MAX_BYTES = 1 << 26;

let kernels: Kernels | null | undefined;

function loadKernels(): Kernels | null {
  try {
    const wasm = (globalThis as unknown as { WebAssembly: Wasm }).WebAssembly;
    const module = new wasm.Module(wasmModule([horizontalKernel(), verticalKernel()]));
    return new wasm.Instance(module).exports as unknown as Kernels;
  } catch {
    return null;
  }
}

const align = (bytes: number): number => Math.ceil(bytes / 16) * 16;

/**
 * Resize `[inHeight, inWidth, 3]` into `out` from byte `at` on, whose rows are `outStride` bytes apart.
 * Returns false where the kernels cannot be used.
 */
export function resizeRgbSimd(
  src: Uint8Array,
  inHeight: number,
  inWidth: number,
  outHeight: number,
  outWidth: number,
  out: Uint8Array,
  at: number,
  outStride: number,
): boolean {
  if (kernels === undefined) kernels = loadKernels();
  if (kernels === null) return false;
  const across = coefficients(inWidth, outWidth);
  const down = coefficients(inHeight, outHeight);
  const rowBytes = outWidth * 3;
  const stride = align(rowBytes);
  // The windows of the last pixels and rows reach beyond them, with weights of zero.
  const image = 0;
  const rows = align(inHeight * inWidth * 3 + across.taps * 3 + 16);
  const result = rows + (inHeight + down.taps) * stride + 16;
  const tables = result + outHeight * stride;
  const acrossWeights = tables + 4 * outWidth;
  const downStarts = acrossWeights + 4 * across.weights.length;
  const downWeights = downStarts + 4 * outHeight;
  const end = downWeights + 4 * down.weights.length;
  if (end > MAX_BYTES) return false;
  const { memory } = kernels;
  const missing = end - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE));

  const bytes = new Uint8Array(memory.buffer);
  const numbers = new Int32Array(memory.buffer);
  bytes.set(src, image);
  for (let x = 0; x < outWidth; x++) numbers[tables / 4 + x] = across.starts[x]! * 3;
  numbers.set(across.weights, acrossWeights / 4);
  for (let y = 0; y < outHeight; y++) numbers[downStarts / 4 + y] = down.starts[y]! * stride;
  numbers.set(down.weights, downWeights / 4);
  kernels.horizontal(
    image,
    rows,
    inHeight,
    inWidth * 3,
    stride,
    outWidth,
    tables,
    acrossWeights,
    across.taps,
  );
  kernels.vertical(rows, result, outHeight, stride, stride / 16, downStarts, downWeights, down.taps);

  if (rowBytes === stride && rowBytes === outStride) {
    out.set(bytes.subarray(result, result + outHeight * stride), at);
  } else {
    for (let y = 0; y < outHeight; y++) {
      const from = result + y * stride;
      out.set(bytes.subarray(from, from + rowBytes), at + y * outStride);
    }
  }
  return true;
}
