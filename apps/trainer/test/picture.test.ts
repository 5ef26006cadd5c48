/** PNG files and drawing, read back by an inflater and an unfilter of this file's own. */
import { inflateSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodePng } from "../src/metrics/png.js";
import { blank, numberText, paste, polyline } from "../src/metrics/raster.js";
import { chunkPicture } from "../src/validation/picture.js";

/** The pixels of an 8-bit RGB PNG, and the filters that its rows use. */
function decodePng(png: Uint8Array) {
  const file = Buffer.from(png);
  expect(file.subarray(0, 8).toString("hex")).toBe("89504e470d0a1a0a");
  const chunks = new Map<string, Buffer>();
  for (let at = 8; at < file.length; ) {
    const length = file.readUInt32BE(at);
    chunks.set(file.toString("latin1", at + 4, at + 8), file.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  const header = chunks.get("IHDR")!;
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const rows = inflateSync(chunks.get("IDAT")!);
  const stride = 3 * width;
  const rgb = new Uint8Array(stride * height);
  const filters = new Set<number>();
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (stride + 1)]!;
    filters.add(filter);
    for (let x = 0; x < stride; x++) {
      const a = x < 3 ? 0 : rgb[y * stride + x - 3]!;
      const b = y === 0 ? 0 : rgb[(y - 1) * stride + x]!;
      const c = x < 3 || y === 0 ? 0 : rgb[(y - 1) * stride + x - 3]!;
      const p = a + b - c;
      const near = [a, b, c].reduce((best, v) => (Math.abs(p - v) < Math.abs(p - best) ? v : best));
      rgb[y * stride + x] = rows[y * (stride + 1) + 1 + x]! + [0, a, b, (a + b) >> 1, near][filter]!;
    }
  }
  return { width, height, rgb, filters };
}

test("a PNG holds the pixels it was made from", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 9 }),
      fc.integer(),
      (width, height, seed) => {
        const rgb = Uint8Array.from(
          { length: 3 * width * height },
          (_, i) => Math.imul(i + seed, 2654435761) >>> 24,
        );
        expect(decodePng(encodePng({ width, height, rgb }))).toMatchObject({ width, height, rgb });
      },
    ),
  );
});

test("rows that go on use a filter", () => {
  const rgb = Uint8Array.from({ length: 3 * 32 * 32 }, (_, i) => Math.floor(i / 3) % 32);
  const flat = encodePng({ width: 32, height: 32, rgb });
  expect([...decodePng(flat).filters].some((filter) => filter > 0)).toBe(true);
  expect(flat.length).toBeLessThan(200);
});

test("a line covers its points and nothing far from it; pictures and numbers stay inside", () => {
  const canvas = blank(40, 20, [255, 255, 255]);
  polyline(
    canvas,
    [
      [5, 10],
      [20, 10],
      [60, -30],
    ],
    [0, 0, 0],
    4,
  );
  const at = (x: number, y: number) => canvas.rgb[3 * (y * 40 + x)];
  expect([at(5, 10), at(12, 10), at(12, 12)]).toEqual([0, 0, 128]);
  expect([at(12, 14), at(0, 0)]).toEqual([255, 255]);
  paste(canvas, blank(10, 10, [9, 9, 9]), 35, 15);
  expect([at(39, 19), at(34, 19)]).toEqual([9, 255]);
  numberText(canvas, "-1.5e8", [30, 1], { color: [7, 7, 7], scale: 2 });
  expect(canvas.rgb).toHaveLength(3 * 40 * 20);
  expect(canvas.rgb).toContain(7);
});

test("a chunk's picture: cameras as they are, recorded and sampled in their colors", () => {
  const [horizon, dim] = [6, 8];
  const actions = (shift: number) => ({
    data: Float64Array.from({ length: horizon * dim }, (_, i) => Math.sin(i + shift)),
    shape: [horizon, dim],
  });
  const camera = blank(30, 20, [12, 34, 56]);
  const picture = chunkPicture({
    episode: 1,
    frame: 2,
    prompt: "go",
    cameras: [{ name: "wrist", pixels: camera }],
    recorded: { actions: actions(0), steps: 4 },
    sampled: actions(1),
  });
  const { width, height, rgb } = decodePng(picture.png);
  expect([width, height]).toEqual([picture.width, picture.height]);
  const colors = new Map<string, number>();
  for (let i = 0; i < rgb.length; i += 3) {
    const key = rgb.subarray(i, i + 3).join();
    colors.set(key, (colors.get(key) ?? 0) + 1);
  }
  expect(colors.get("12,34,56")).toBe(600);
  expect(colors.get("31,111,178")).toBeGreaterThan(100);
  expect(colors.get("150,155,162")).toBeGreaterThan(100);
});
