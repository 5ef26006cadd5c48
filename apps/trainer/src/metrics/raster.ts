/** @file Drawing on RGB pixels, as much as a chart needs: rectangles, smooth lines, pictures, small numbers. */
import type { Pixels } from "./png.js";

/** `[red, green, blue]`, 0…255. */
export type Color = readonly [number, number, number];

/** A point, in pixels from the top left corner. */
export type Point = readonly [x: number, y: number];

/** Pixels of one color. */
export function blank(width: number, height: number, color: Color): Pixels {
  const pixels = { width, height, rgb: new Uint8Array(3 * width * height) };
  fillRect(pixels, 0, 0, width, height, color);
  return pixels;
}

export function fillRect(
  on: Pixels,
  x: number,
  y: number,
  width: number,
  height: number,
  color: Color,
): void {
  const [left, right] = [Math.max(0, x), Math.min(on.width, x + width)];
  const [top, bottom] = [Math.max(0, y), Math.min(on.height, y + height)];
  if (left >= right) return;
  const row = new Uint8Array(3 * (right - left));
  for (let i = 0; i < row.length; i++) row[i] = color[i % 3]!;
  for (let at = top; at < bottom; at++) on.rgb.set(row, 3 * (at * on.width + left));
}

/** Lay `picture` over, its top left corner at `(x, y)`; what does not fit is cut off. */
export function paste(on: Pixels, picture: Pixels, x: number, y: number): void {
  const width = Math.min(picture.width, on.width - x);
  for (let row = 0; row < Math.min(picture.height, on.height - y); row++) {
    const from = 3 * row * picture.width;
    on.rgb.set(picture.rgb.subarray(from, from + 3 * width), 3 * ((y + row) * on.width + x));
  }
}

/** A line through points, `width` pixels wide, with round ends and smooth edges. */
export function polyline(on: Pixels, points: readonly Point[], color: Color, width: number): void {
  // One coverage for the whole line: where segments meet nothing is blended twice.
  const coverage = new Float32Array(on.width * on.height);
  let [first, last] = [coverage.length, 0];
  for (let i = 0; i < points.length; i++) {
    const [from, to] = cover(on, points[Math.max(0, i - 1)]!, points[i]!, width / 2, coverage);
    first = Math.min(first, from);
    last = Math.max(last, to);
  }
  for (let at = first; at < last; at++) {
    const share = coverage[at]!;
    if (share === 0) continue;
    for (let c = 0; c < 3; c++) {
      const under = on.rgb[3 * at + c]!;
      on.rgb[3 * at + c] = Math.round(under + share * (color[c]! - under));
    }
  }
}

/** Raise the coverage along a segment; the pixels between which it lies. */
function cover(
  { width, height }: Pixels,
  [ax, ay]: Point,
  [bx, by]: Point,
  radius: number,
  coverage: Float32Array,
): [number, number] {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy || 1;
  const edge = radius + 1;
  const left = Math.max(0, Math.floor(Math.min(ax, bx) - edge));
  const right = Math.min(width - 1, Math.ceil(Math.max(ax, bx) + edge));
  const top = Math.max(0, Math.floor(Math.min(ay, by) - edge));
  const bottom = Math.min(height - 1, Math.ceil(Math.max(ay, by) + edge));
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const along = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length));
      const [ox, oy] = [x - ax - along * dx, y - ay - along * dy];
      const share = Math.min(1, radius + 0.5 - Math.sqrt(ox * ox + oy * oy));
      const at = y * width + x;
      if (share > coverage[at]!) coverage[at] = share;
    }
  }
  return [top * width, (bottom + 1) * width];
}

/** Rows of three pixels, the left one the highest bit. */
const GLYPHS: Readonly<Record<string, readonly number[]>> = {
  "0": [7, 5, 5, 5, 7],
  "1": [2, 6, 2, 2, 7],
  "2": [7, 1, 7, 4, 7],
  "3": [7, 1, 3, 1, 7],
  "4": [5, 5, 7, 1, 1],
  "5": [7, 4, 7, 1, 7],
  "6": [7, 4, 7, 5, 7],
  "7": [7, 1, 1, 2, 2],
  "8": [7, 5, 7, 5, 7],
  "9": [7, 5, 7, 1, 7],
  ".": [0, 0, 0, 0, 2],
  "-": [0, 0, 7, 0, 0],
  "+": [0, 2, 7, 2, 0],
  e: [0, 7, 5, 6, 7],
};

/** Width of {@link numberText} in pixels. */
export const textWidth = (text: string, scale: number): number => (4 * text.length - 1) * scale;

/** Digits, points and signs, 5 · `scale` pixels high, the top left corner at `(x, y)`. */
export function numberText(
  on: Pixels,
  text: string,
  [x, y]: Point,
  { color, scale }: { color: Color; scale: number },
): void {
  for (const [i, character] of [...text].entries()) {
    for (const [row, bits] of (GLYPHS[character] ?? []).entries()) {
      for (let column = 0; column < 3; column++) {
        if (!(bits & (4 >> column))) continue;
        fillRect(on, x + (4 * i + column) * scale, y + row * scale, scale, scale, color);
      }
    }
  }
}
