import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { horizontal, vertical } from "../src/image/pil-resize.js";
import { flat, signed, unsigned, wasmModule } from "../src/image/wasm/assembler.js";
import { horizontalKernel, verticalKernel } from "../src/image/wasm/kernels.js";
import { resizeRgbSimd } from "../src/image/wasm/resize.js";
import { resizeBilinear, resizeWithPad } from "../src/index.js";

declare const WebAssembly: { validate(bytes: Uint8Array): boolean };

test("numbers are written as WebAssembly's LEB128", () => {
  expect([0, 127, 128, 624_485].map(unsigned)).toEqual([[0], [127], [128, 1], [0xe5, 0x8e, 0x26]]);
  expect([0, 63, 64, -1, -64, -65, -123_456].map(signed)).toEqual([
    [0],
    [63],
    [192, 0],
    [127],
    [64],
    [191, 127],
    [0xc0, 0xbb, 0x78],
  ]);
  expect(flat([1, [2, [3], []], 4])).toEqual([1, 2, 3, 4]);
});

test("the module is valid and small", () => {
  const module = wasmModule([horizontalKernel(), verticalKernel()]);
  expect(WebAssembly.validate(module)).toBe(true);
  expect(module.length).toBeLessThan(1024);
});

const side = fc.integer({ min: 1, max: 48 });

/** Bytes of a seed; extremes are frequent. */
function noise(seed: number, length: number): Uint8Array {
  let a = seed | 0;
  return Uint8Array.from({ length }, () => {
    a = (Math.imul(a, 1_664_525) + 1_013_904_223) | 0;
    return a >>> 30 === 0 ? 0 : a >>> 30 === 1 ? 255 : a >>> 16;
  });
}

test("SIMD and plain loops give the same pixels, whatever the sizes", () => {
  fc.assert(
    fc.property(side, side, side, side, fc.integer(), (h, w, oh, ow, seed) => {
      const src = noise(seed, h * w * 3);
      const plain = new Uint8Array(oh * ow * 3);
      vertical(horizontal(src, h, w, ow, 3), h, oh, ow * 3, plain, 0, ow * 3);
      const simd = new Uint8Array(oh * ow * 3);
      expect(resizeRgbSimd(src, h, w, oh, ow, simd, 0, ow * 3)).toBe(true);
      expect(simd).toEqual(plain);
    }),
    { numRuns: 300 },
  );
});

test("other memory is left alone: into the middle of a canvas, after a larger image", () => {
  const small = noise(1, 5 * 7 * 3);
  const alone = resizeBilinear(small, 5, 7, 9, 11, 3);
  resizeWithPad({ data: noise(2, 400 * 600 * 3), shape: [400, 600, 3] }, 224, 224);
  const canvas = new Uint8Array(20 * 20 * 3).fill(77);
  expect(resizeRgbSimd(small, 5, 7, 9, 11, canvas, (4 * 20 + 3) * 3, 60)).toBe(true);
  for (let y = 0; y < 20; y++) {
    for (let i = 0; i < 60; i++) {
      const inside = y >= 4 && y < 13 && i >= 9 && i < 42;
      const expected = inside ? alone[(y - 4) * 33 + i - 9] : 77;
      expect(canvas[y * 60 + i]).toBe(expected);
    }
  }
});

test("images beyond the memory's bound go through the plain loops", () => {
  const src = new Uint8Array(5000 * 5000 * 3).fill(9);
  expect(resizeRgbSimd(src, 5000, 5000, 4, 4, new Uint8Array(48), 0, 12)).toBe(false);
  expect(new Set(resizeBilinear(src, 5000, 5000, 4, 4, 3))).toEqual(new Set([9]));
});

test("sides that are no sides, and bytes that do not fill them, are refused", () => {
  const src = new Uint8Array(12);
  const refused: Parameters<typeof resizeBilinear>[] = [
    [src, 2.5, 2, 4, 4, 3],
    [src, 2, 2, 0, 4, 3],
    [src, 2, 2, 4, Number.NaN, 3],
    [src, 2, 3, 4, 4, 3],
    [src, 2, 2, 4, 4, -3],
  ];
  for (const args of refused) expect(() => resizeBilinear(...args)).toThrow("sides must be positive");
});

test("without WebAssembly the plain loops take over", async () => {
  vi.resetModules();
  vi.stubGlobal("WebAssembly", undefined);
  try {
    const plain = await import("../src/index.js");
    const simd = await import("../src/image/wasm/resize.js");
    const image = { data: noise(3, 18 * 32 * 3), shape: [18, 32, 3] };
    expect(simd.resizeRgbSimd(image.data, 18, 32, 9, 9, new Uint8Array(243), 0, 27)).toBe(false);
    expect(plain.resizeWithPad(image, 22, 22)).toEqual(resizeWithPad(image, 22, 22));
  } finally {
    vi.unstubAllGlobals();
    vi.resetModules();
  }
});
