import fc from "fast-check";
import sharp from "sharp";
import { expect, test } from "vitest";
import { makePngEncoder } from "../src/png.js";

test("property: another decoder reads back every pixel, whatever picture is drawn meanwhile", async () => {
  const size = fc.integer({ min: 1, max: 40 });
  await fc.assert(
    fc.asyncProperty(
      size,
      size,
      fc.uint8Array({ minLength: 30, maxLength: 30 }),
      async (width, height, bytes) => {
        const palette = bytes;
        const encoder = makePngEncoder(palette, width, height, 2);
        const index = new Uint8Array(width * height);
        const files: Promise<Uint8Array>[] = [];
        const expected: number[][] = [];
        for (let picture = 0; picture < 5; picture++) {
          for (let i = 0; i < index.length; i++) index[i] = (i * 7 + picture * 3 + bytes[i % 30]!) % 10;
          expected.push(Array.from(index).flatMap((c) => [...palette.subarray(3 * c, 3 * c + 3)]));
          files.push((await encoder.encode(index)).done);
        }
        for (const [picture, file] of (await Promise.all(files)).entries()) {
          const { data, info } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
          expect([info.width, info.height, info.channels]).toEqual([width, height, 3]);
          expect([...data]).toEqual(expected[picture]);
        }
      },
    ),
    { numRuns: 25 },
  );
});
