/** @file Sizes from headers: those that sharp finds, for every kind of PNG and JPEG, and nothing for anything else. */
import fc from "fast-check";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { imageHeader } from "../src/write/image-header.js";

const picture = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: "teal" } });

describe("the size of an image", () => {
  test("is the one sharp finds", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 1, max: 600 }), async (w, h) => {
        const base = picture(w, h);
        const files = {
          png: [base.clone().png(), base.clone().png({ palette: true, progressive: true })],
          jpeg: [
            base.clone().jpeg(),
            base.clone().jpeg({ progressive: true }),
            base
              .clone()
              .withExif({ IFD0: { Copyright: "x".repeat(500) } })
              .jpeg({ optimiseScans: true }),
            base.clone().greyscale().jpeg(),
          ],
        };
        for (const [format, images] of Object.entries(files)) {
          for (const image of images) {
            const bytes = await image.toBuffer();
            expect(imageHeader(bytes)).toEqual({ format, width: w, height: h });
            // A view into a larger buffer, as parquet cells are.
            const larger = Buffer.concat([Buffer.alloc(5, 0xff), bytes]);
            expect(imageHeader(larger.subarray(5))).toEqual({ format, width: w, height: h });
          }
        }
      }),
      { numRuns: 10 },
    );
  });

  test("is unknown for other files and cut headers, without an error", async () => {
    const png = await picture(8, 6).png().toBuffer();
    const jpeg = await picture(8, 6).jpeg().toBuffer();
    for (let cut = 0; cut < 33; cut++) expect(imageHeader(png.subarray(0, cut))).toBeUndefined();
    for (let cut = 0; cut < 100; cut++) expect(imageHeader(jpeg.subarray(0, cut))).toBeUndefined();
    expect(imageHeader(await picture(8, 6).webp().toBuffer())).toBeUndefined();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(png, jpeg), (noise, image) => {
        expect(imageHeader(noise)).toBeUndefined();
        const changed = Buffer.concat([image.subarray(0, 4), noise]);
        const found = imageHeader(changed);
        expect(found === undefined || (found.width > 0 && found.height > 0)).toBe(true);
      }),
    );
  });
});
