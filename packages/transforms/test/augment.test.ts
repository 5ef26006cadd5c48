import type { NdArray, Sample } from "@insula/model-types";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Augmentation, augmentImage, augmentImages, drawAugmentation } from "../src/index.js";

const image = (h: number, w: number, fill: (i: number) => number): NdArray<Uint8Array> => ({
  data: Uint8Array.from({ length: h * w * 3 }, (_, i) => fill(i)),
  shape: [h, w, 3],
});
/** A generator from a seed (Lehmer). */
const generator = (seed: number) => {
  let state = (seed % 2147483646) + 1;
  return () => (state = (state * 48271) % 2147483647) / 2147483647;
};

test("no change is no change", () => {
  const none: Augmentation = {
    geometry: { scale: 1, center: [0, 0], angle: 0 },
    color: { brightness: 0, contrast: 0, saturation: 0, hue: 0 },
  };
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 60, maxLength: 60 }), (data) => {
      expect(augmentImage({ data, shape: [4, 5, 3] }, none).data).toEqual(data);
    }),
  );
});

test("a quarter turn moves every pixel, black comes in from outside", () => {
  const x = image(3, 3, (i) => i + 1);
  const pixel = (img: NdArray<Uint8Array>, y: number, c: number) => img.data[(y * 3 + c) * 3];
  const turned = augmentImage(x, { geometry: { scale: 1, center: [0, 0], angle: Math.PI / 2 } });
  for (let y = 0; y < 3; y++)
    for (let c = 0; c < 3; c++) expect(pixel(turned, y, c)).toBe(pixel(x, c, 2 - y));
  const white = image(20, 20, () => 255);
  const tilted = augmentImage(white, { geometry: { scale: 1, center: [0, 0], angle: Math.PI / 4 } });
  expect(pixel(tilted, 0, 0)).toBe(0);
  expect(tilted.data[(10 * 20 + 10) * 3]).toBe(255);
});

test("a crop at the edge shows the edge", () => {
  const x = image(20, 20, (i) => Math.floor(i / 60) * 8); // rows 0, 8, 16 …
  const top = augmentImage(x, { geometry: { scale: 0.5, center: [-1, 0], angle: 0 } });
  const bottom = augmentImage(x, { geometry: { scale: 0.5, center: [1, 0], angle: 0 } });
  // rows 0 … 9 stretched over twenty: the last looks at 4.5 + 9.5 / 2 = 9.25; rows 10 … 19: the first at 9.75
  expect(top.data[19 * 60]).toBe(9.25 * 8);
  expect(bottom.data[0]).toBe(9.75 * 8);
});

test("colour: brightness, contrast, saturation and hue do what they say", () => {
  const one = (rgb: number[], color: Partial<NonNullable<Augmentation["color"]>>) =>
    Array.from(
      augmentImage(
        { data: Uint8Array.from(rgb), shape: [1, 1, 3] },
        { color: { brightness: 0, contrast: 0, saturation: 0, hue: 0, ...color } },
      ).data,
    );
  expect(one([100, 100, 100], { brightness: -0.5 })).toEqual([50, 50, 50]);
  expect(one([100, 100, 100], { brightness: 0.2 })).toEqual([131, 131, 131]);
  expect(one([255, 0, 0], { hue: 1 / 3 })).toEqual([0, 255, 0]);
  expect(one([0, 0, 255], { hue: 1 / 3 })).toEqual([255, 0, 0]);
  expect(one([200, 100, 100], { saturation: -0.5 })).toEqual([200, 150, 150]);
  expect(one([200, 100, 100], { saturation: 5 })).toEqual([200, 0, 0]);
  // slope tan(0.35 π) = 1.9626 in the middle, 1 / 1.9626 beyond 0.669
  expect(one([100, 100, 100], { contrast: 0.4 })[0]).toBe(74);
  expect(one([178, 178, 178], { contrast: 0.4 })[0]).toBe(216);
  for (const level of [0, 255]) expect(one([level, level, level], { contrast: 0.4 })[0]).toBe(level);
});

test("contrast is monotonic and keeps 0…1", () => {
  const ramp = { data: Uint8Array.from({ length: 768 }, (_, i) => Math.floor(i / 3)), shape: [1, 256, 3] };
  fc.assert(
    fc.property(fc.double({ min: -0.4, max: 0.4, noNaN: true }), (contrast) => {
      const { data } = augmentImage(ramp, { color: { brightness: 0, contrast, saturation: 0, hue: 0 } });
      for (let i = 3; i < data.length; i += 3) expect(data[i]!).toBeGreaterThanOrEqual(data[i - 3]!);
      expect([data[0], data[765]]).toEqual([0, 255]);
    }),
  );
});

test("draws lie in their ranges; the variants differ as described", () => {
  const upstream = { jittered: 0, saturated: 0, hued: 0 };
  for (let seed = 0; seed < 400; seed++) {
    const { geometry, color } = drawAugmentation(generator(seed * 7919));
    expect(Math.abs(geometry!.angle)).toBeLessThanOrEqual((5 * Math.PI) / 180);
    expect(Math.abs(color!.brightness)).toBeLessThanOrEqual(0.3);
    expect(Math.abs(color!.contrast)).toBeLessThanOrEqual(0.4);
    expect(Math.abs(color!.saturation)).toBeLessThanOrEqual(0.5);
    expect(color!.hue).toBe(0);
    const drawn = drawAugmentation(generator(seed * 7919), { variant: "upstream" });
    if (drawn.color) upstream.jittered++;
    if (drawn.color?.saturation) upstream.saturated++;
    if (drawn.color?.hue) upstream.hued++;
  }
  expect(upstream.jittered).toBeGreaterThan(140);
  expect(upstream.jittered).toBeLessThan(260);
  expect(upstream).toMatchObject({ saturated: 0, hued: upstream.jittered });
  expect(drawAugmentation(generator(1), { geometry: false })).not.toHaveProperty("geometry");
});

test("a sample: seeded, pure, one colour for all cameras, geometry for fixed ones only", () => {
  const base = image(16, 16, (i) => (i * 7) % 256);
  const sample: Sample = { image: { base_0_rgb: base, base_1_rgb: base, left_wrist_0_rgb: base }, state: 1 };
  const before = base.data.slice();
  const run = (variant: "upstream" | "corrected", seed = 5) =>
    augmentImages(sample, generator(seed), { variant })["image"] as Record<string, NdArray<Uint8Array>>;
  const once = run("corrected");
  expect(run("corrected")).toEqual(once);
  expect(run("corrected", 6)).not.toEqual(once);
  expect(base.data).toEqual(before);
  expect(once["base_0_rgb"]).toEqual(once["base_1_rgb"]);
  const { color } = drawAugmentation(generator(5));
  expect(once["left_wrist_0_rgb"]).toEqual(augmentImage(base, { color: color! }));
  const upstream = run("upstream");
  expect(upstream["base_0_rgb"]).not.toEqual(upstream["base_1_rgb"]);
  expect(augmentImages({ state: 1 }, Math.random)).toEqual({ state: 1 });
  expect(() =>
    augmentImages({ image: { a: { data: new Float32Array(3), shape: [1, 1, 3] } } }, Math.random),
  ).toThrow("image/a: expected a uint8 array");
  expect(() => augmentImage({ data: new Uint8Array(4), shape: [1, 1, 4] }, {})).toThrow("found [1, 1, 4]");
});
