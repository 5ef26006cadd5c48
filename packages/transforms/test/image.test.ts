import { describeShared, sharedJson, sharedTensors } from "@insula/test-kit";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  convertToUint8,
  parseImage,
  resizeBilinear,
  resizeImages,
  resizeWithPad,
  resizeWithPadJax,
} from "../src/index.js";

const image = (shape: number[], fill = 0) => ({
  data: new Uint8Array(shape.reduce((a, b) => a * b, 1)).fill(fill),
  shape,
});

describeShared("resize, pixel by pixel", () => {
  const golden = sharedTensors("golden", "common", "transforms", "resize.safetensors");
  const { cases } = sharedJson<{ cases: { key: string; f32_saved: boolean }[] }>(
    "golden",
    "common",
    "transforms",
    "resize.json",
  );
  const input = (key: string) => {
    const { data, shape } = golden.get(`${key}/in_u8`)!;
    const [height, width] = key.split("_to_")[1]!.split("x").map(Number) as [number, number];
    return { image: { data: data as Uint8Array, shape }, height, width };
  };

  test.each(cases)("$key equals Pillow", ({ key }) => {
    const { image, height, width } = input(key);
    const expected = golden.get(`${key}/pil_u8`)!;
    const out = resizeWithPad(image, height, width);
    expect(out.shape).toEqual(expected.shape);
    expect(out.data).toBeAllclose(expected.data);
  });

  test.each(cases)("$key equals JAX in uint8", ({ key }) => {
    const { image, height, width } = input(key);
    const expected = golden.get(`${key}/jax_u8`)!;
    const out = resizeWithPadJax(image, height, width);
    expect(out.shape).toEqual(expected.shape);
    expect(out.data).toBeAllclose(expected.data);
  });

  test.each(cases.filter((c) => c.f32_saved))("$key equals JAX in float32", ({ key }) => {
    const { image, height, width } = input(key);
    const expected = golden.get(`${key}/jax_f32`)!;
    const data = Float32Array.from(image.data, (v) => Math.fround(Math.fround(v / 255) * 2) - 1);
    const out = resizeWithPadJax({ data, shape: image.shape }, height, width);
    expect(out.data).toBeAllclose(expected.data, { atol: 5e-7 });
  });

  test("leading axes are kept", () => {
    const { data, shape } = golden.get("batched_2x3x20x30/in_u8")!;
    const expected = golden.get("batched_2x3x20x30/pil_u8")!;
    const out = resizeWithPad({ data: data as Uint8Array, shape }, 28, 28);
    expect(out.shape).toEqual(expected.shape);
    expect(out.data).toBeAllclose(expected.data);
  });

  test("convertToUint8 truncates", () => {
    const { data, shape } = golden.get("convert_to_uint8/in")!;
    expect(convertToUint8({ data, shape }).data).toBeAllclose(golden.get("convert_to_uint8/out")!.data);
  });
});

describeShared("parseImage", () => {
  const golden = sharedTensors("golden", "common", "transforms", "actions_images.safetensors");
  test.each(["hwc_u8", "chw_f32", "ambiguous"])("%s", (name) => {
    const { data, shape } = golden.get(`parse_image/${name}_in`)!;
    const expected = golden.get(`parse_image/${name}_out`)!;
    const out = parseImage({ data, shape });
    expect(out.shape).toEqual(expected.shape);
    expect(out.data).toBeAllclose(expected.data);
  });
});

// openpi: shared/image_tools_test.py and openpi_client/image_tools_test.py
test.each([
  ["no padding needed", [2, 10, 10, 3], 20, 20],
  ["wider", [1, 10, 20, 3], 20, 20],
  ["higher", [1, 20, 10, 3], 20, 20],
  ["down", [5, 60, 80, 3], 30, 40],
  ["odd padding", [1, 256, 320, 3], 60, 80],
])("zeros stay zeros: %s", (_, shape, height, width) => {
  for (const resize of [resizeWithPad, resizeWithPadJax<Uint8Array>]) {
    const out = resize(image(shape), height, width);
    expect(out.shape).toEqual([shape[0], height, width, 3]);
    expect(out.data.every((v) => v === 0)).toBe(true);
  }
});

test("a right-sized image is returned as it is", () => {
  const x = image([4, 5, 3], 9);
  expect(resizeWithPad(x, 4, 5)).toBe(x);
});

test("the odd pixel of padding goes to the bottom and the right", () => {
  const rows = resizeWithPad(image([1, 5, 1], 255), 4, 5).data; // 1 row in 4: one above, two below
  expect([...rows]).toEqual([0, 255, 0, 0].flatMap((v) => new Array(5).fill(v)));
  const columns = resizeWithPad(image([5, 1, 1], 255), 5, 4).data;
  expect([...columns.subarray(0, 4)]).toEqual([0, 255, 0, 0]);
});

test("a constant image keeps its value, whatever the sizes and channels", () => {
  const side = fc.integer({ min: 1, max: 40 });
  fc.assert(
    fc.property(side, side, side, side, fc.nat(255), fc.constantFrom(1, 3, 4), (h, w, oh, ow, v, c) => {
      const out = resizeBilinear(image([h, w, c], v).data, h, w, oh, ow, c);
      expect(out).toEqual(image([oh, ow, c], v).data);
    }),
  );
});

test("channels are independent", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 90, maxLength: 90 }), (data) => {
      const rgb = resizeBilinear(data, 5, 6, 4, 9, 3);
      for (let c = 0; c < 3; c++) {
        const plane = resizeBilinear(
          data.filter((_, i) => i % 3 === c),
          5,
          6,
          4,
          9,
          1,
        );
        expect(rgb.filter((_, i) => i % 3 === c)).toEqual(plane);
      }
    }),
  );
});

test("float32 images that were k/255 come back exactly", () => {
  const data = Float32Array.from({ length: 256 }, (_, k) => k / 255);
  expect([...convertToUint8({ data, shape: [256] }).data]).toEqual([...Array(256).keys()]);
});

test("what is not an image is refused", () => {
  expect(() => resizeWithPad({ data: new Float32Array(12), shape: [2, 2, 3] }, 4, 4)).toThrow(
    "resizeWithPad: expected uint8, found Float32Array; convert floats with convertToUint8",
  );
  expect(() => resizeWithPad(image([4, 4]), 4, 4)).toThrow("expected [..., h, w, c], found [4, 4]");
  expect(() => resizeWithPad(image([1, 500, 3]), 224, 224)).toThrow("cannot resize 1×500 to 0×224");
  expect(() => resizeWithPadJax(image([1, 500, 3]), 224, 224)).toThrow("has no pixels left");
  expect(() => parseImage(image([2, 3, 4, 3]), "wrist")).toThrow(
    "wrist: expected an image [h, w, 3] or [3, h, w], found [2, 3, 4, 3]",
  );
  expect(() => convertToUint8({ data: Float32Array.of(0, -1), shape: [2] }, "wrist")).toThrow(
    "wrist: expected float pixels in 0…1, found -1 at element 1; map -1…1 to 0…1 first",
  );
  expect(() => convertToUint8({ data: Float32Array.of(200), shape: [1] })).toThrow("divide 0…255 by 255");
  expect(() => convertToUint8({ data: Int32Array.of(1), shape: [1] })).toThrow("expected uint8 or float");
});

test("resizeImages takes every camera and names the one at fault", () => {
  const sample = { image: { base: image([10, 20, 3], 7), wrist: image([224, 224, 3], 7) }, state: 1 };
  const out = resizeImages(16, 16)(sample);
  expect(out["state"]).toBe(1);
  expect(out["image"]).toMatchObject({ base: { shape: [16, 16, 3] }, wrist: { shape: [16, 16, 3] } });
  expect(sample.image.base.shape).toEqual([10, 20, 3]);
  expect(() => resizeImages(16, 16)({ image: { wrist: image([3, 3]) } })).toThrow(
    /^image\/wrist: .*found \[3, 3\]/,
  );
  expect(() => resizeImages(16, 16)({ state: 1 })).toThrow("available: state");
});
