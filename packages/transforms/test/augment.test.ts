import type { NdArray, Sample } from "@insula/model-types";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type Augmentation,
  augmentBatch,
  augmentImage,
  augmentImages,
  drawAugmentation,
  keyedRandom,
} from "../src/index.js";

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
  // one key of random numbers for all cameras there, but wrist cameras split it into other numbers
  expect(upstream["base_0_rgb"]).toEqual(upstream["base_1_rgb"]);
  const random = generator(5);
  const [fixed, wrist] = [random, random].map((r) => drawAugmentation(r, { variant: "upstream" }));
  expect(upstream["base_0_rgb"]).toEqual(augmentImage(base, fixed!));
  expect(upstream["left_wrist_0_rgb"]).toEqual(
    augmentImage(base, wrist!.color ? { color: wrist!.color } : {}),
  );
  expect(augmentImages({ state: 1 }, Math.random)).toEqual({ state: 1 });
  expect(() =>
    augmentImages({ image: { a: { data: new Float32Array(3), shape: [1, 1, 3] } } }, Math.random),
  ).toThrow("image/a: expected a uint8 array");
  expect(() => augmentImage({ data: new Uint8Array(4), shape: [1, 1, 4] }, {})).toThrow("found [1, 1, 4]");
});

test("a batch: every sample its own draw, of seed, step and place only", () => {
  const samples = Array.from({ length: 4 }, (_, i): Sample => {
    const base = image(8, 8, (j) => (j * 5 + i) % 256);
    return { image: { base_0_rgb: base, wrist_0_rgb: base } };
  });
  const whole = augmentBatch(samples, { seed: 7, step: 3 });
  expect(augmentBatch(samples, { seed: 7, step: 3 })).toEqual(whole);
  expect(
    [0, 2].flatMap((offset) => augmentBatch(samples.slice(offset, offset + 2), { seed: 7, step: 3, offset })),
  ).toEqual(whole);
  expect(whole[2]).toEqual(augmentImages(samples[2]!, keyedRandom(7, 3, 2)));
  expect(augmentBatch(samples, { seed: 7, step: 4 })).not.toEqual(whole);
  expect(augmentBatch(samples, { seed: 8, step: 3 })).not.toEqual(whole);
  expect(augmentBatch(samples, { seed: 7, step: 3, variant: "upstream" })).not.toEqual(whole);
});

test("keyed random numbers: uniform, and unrelated between neighbouring keys", () => {
  const sums = { x: 0, xx: 0, xy: 0 };
  const n = 20_000;
  for (let i = 0; i < n; i++) {
    const [x, y] = [keyedRandom(42, i)(), keyedRandom(42, i + 1)()];
    expect(x >= 0 && x < 1).toBe(true);
    sums.x += x;
    sums.xx += (x - 0.5) ** 2;
    sums.xy += (x - 0.5) * (y - 0.5);
  }
  expect(sums.x / n).toBeCloseTo(0.5, 2);
  expect(sums.xx / n).toBeCloseTo(1 / 12, 2);
  expect(Math.abs(sums.xy / n)).toBeLessThan(0.003);
  const keys = [[1, 2], [2, 1], [1, 2, 0], [1], [-1], [2 ** 40 + 1]];
  expect(new Set(keys.map((key) => keyedRandom(...key)())).size).toBe(keys.length);
});

test("a whole turn of the hue is no turn: the way without hues and the way through them agree", () => {
  const share = fc.double({ min: -0.4, max: 0.4, noNaN: true });
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 30, maxLength: 30 }),
      share,
      share,
      share,
      (data, brightness, contrast, saturation) => {
        const x = { data, shape: [2, 5, 3] };
        const color = { brightness, contrast, saturation, hue: 0 };
        const turned = augmentImage(x, { color: { ...color, hue: 1 } }).data;
        const straight = augmentImage(x, { color }).data;
        // float32 between: one level where a value lies between two
        for (const [i, v] of straight.entries()) expect(Math.abs(v - turned[i]!)).toBeLessThanOrEqual(1);
      },
    ),
  );
});

test("one bilinear formula inside and at the border", () => {
  // A bilinear ramp is reproduced by bilinear lookup: turned about its centre, it is the turned ramp.
  const ramp = image(21, 21, (i) => 40 + 4 * (Math.floor(i / 3) % 21) + 3 * Math.floor(i / 63));
  const angle = 0.2;
  const turned = augmentImage(ramp, { geometry: { scale: 1, center: [0, 0], angle } }).data;
  for (let y = 4; y < 17; y++) {
    for (let x = 4; x < 17; x++) {
      const [dy, dx] = [y - 10, x - 10];
      const fromY = 10 + Math.cos(angle) * dy + Math.sin(angle) * dx;
      const fromX = 10 + Math.cos(angle) * dx - Math.sin(angle) * dy;
      expect(Math.abs(turned[(y * 21 + x) * 3]! - (40 + 4 * fromX + 3 * fromY))).toBeLessThanOrEqual(0.51);
    }
  }
});
