/**
 * @file The inner loops of the rasteriser: a convex polygon in camera coordinates is clipped, projected and filled row by
 * row into a picture of palette indices with a depth buffer.
 */
import type { Mesh } from "./mesh.js";
import { FIRST_UNSHADOWED, SHADES, TABLE_SHADOWED } from "./palette.js";

/** Side of the pictures, pixels. */
export const IMAGE_SIZE = 224;

/** A picture under way. `depth` holds 1/z, which is affine in pixel coordinates on a plane; 0 is infinitely far. */
export interface Frame {
  readonly index: Uint8Array;
  readonly depth: Float32Array;
}

export function makeFrame(): Frame {
  return {
    index: new Uint8Array(IMAGE_SIZE * IMAGE_SIZE),
    depth: new Float32Array(IMAGE_SIZE * IMAGE_SIZE),
  };
}

const NEAR = 0.01; // m
const MAX_CORNERS = 32; // of one face; the largest are the caps of 20-sided cylinders

// Scratch memory: filling is synchronous, so one set serves all.
const polygon = new Float64Array(3 * MAX_CORNERS);
const clipped = new Float64Array(3 * (MAX_CORNERS + 1));
const screen = new Float64Array(2 * (MAX_CORNERS + 1));
const spans = new Int32Array(2 * IMAGE_SIZE); // per row: first column, end
let firstRow = 0;

/** Take the corners of face `f` out of `vertices` (camera coordinates) for the next fill; returns their number. */
export function gatherFace(mesh: Mesh, f: number, vertices: Float64Array): number {
  const first = mesh.offsets[f]!;
  const count = mesh.offsets[f + 1]! - first;
  for (let i = 0; i < count; i++) {
    const corner = 3 * mesh.corners[first + i]!;
    polygon[3 * i] = vertices[corner]!;
    polygon[3 * i + 1] = vertices[corner + 1]!;
    polygon[3 * i + 2] = vertices[corner + 2]!;
  }
  return count;
}

/**
 * Fill the polygon gathered last (`count` corners) with `index`. Its `plane` p satisfies p · q = 1, so that
 * 1/z = p · (q / z) along the ray q / z of a pixel.
 */
export function fillPolygon(
  { index: pixels, depth: depths }: Frame,
  count: number,
  focal: number,
  plane: readonly [number, number, number],
  index: number,
): void {
  const rows = findSpans(project(clipNear(count), focal));
  const step = plane[0] / focal;
  for (let row = firstRow; row < firstRow + rows; row++) {
    const from = spans[2 * row]!;
    const to = spans[2 * row + 1]!;
    const x = (from + 0.5 - IMAGE_SIZE / 2) / focal;
    const y = (row + 0.5 - IMAGE_SIZE / 2) / focal;
    let depth = x * plane[0] + y * plane[1] + plane[2];
    for (let at = row * IMAGE_SIZE + from; at < row * IMAGE_SIZE + to; at++, depth += step) {
      if (depth > depths[at]!) {
        depths[at] = depth;
        pixels[at] = index;
      }
    }
  }
}

/** Darken the tabletop under the polygon gathered last, which lies in its plane; depth stays as it is. */
export function fillShadow({ index: pixels }: Frame, count: number, focal: number): void {
  const rows = findSpans(project(clipNear(count), focal));
  for (let row = firstRow; row < firstRow + rows; row++) {
    const end = row * IMAGE_SIZE + spans[2 * row + 1]!;
    for (let at = row * IMAGE_SIZE + spans[2 * row]!; at < end; at++) {
      const old = pixels[at]!;
      if (old < FIRST_UNSHADOWED) pixels[at] = (old & ~(SHADES - 1)) | TABLE_SHADOWED;
    }
  }
}

/** The pixels of the polygon in `screen`: sets `firstRow` and `spans`, returns the number of rows. */
function findSpans(corners: number): number {
  if (corners < 3) return 0;
  let top = Number.POSITIVE_INFINITY;
  let bottom = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < corners; i++) {
    const y = screen[2 * i + 1]!;
    if (y < top) top = y;
    if (y > bottom) bottom = y;
  }
  // Pixel centres lie at half-integers.
  firstRow = Math.max(0, Math.ceil(top - 0.5));
  const end = Math.min(IMAGE_SIZE, Math.ceil(bottom - 0.5));
  for (let row = firstRow; row < end; row++) {
    const y = row + 0.5;
    let left = Number.POSITIVE_INFINITY;
    let right = Number.NEGATIVE_INFINITY;
    let ax = screen[2 * corners - 2]!;
    let ay = screen[2 * corners - 1]!;
    for (let i = 0; i < corners; i++) {
      const bx = screen[2 * i]!;
      const by = screen[2 * i + 1]!;
      if (ay <= y !== by <= y) {
        const x = ax + ((y - ay) / (by - ay)) * (bx - ax);
        if (x < left) left = x;
        if (x > right) right = x;
      }
      ax = bx;
      ay = by;
    }
    spans[2 * row] = Math.max(0, Math.ceil(left - 0.5));
    spans[2 * row + 1] = Math.min(IMAGE_SIZE, Math.ceil(right - 0.5));
  }
  return Math.max(0, end - firstRow);
}

/** Keep the part of `polygon` with z ≥ NEAR in `clipped`; returns its number of corners. */
function clipNear(count: number): number {
  let out = 0;
  for (let i = 0; i < count; i++) {
    const a = 3 * ((i + count - 1) % count);
    const b = 3 * i;
    const [za, zb] = [polygon[a + 2]!, polygon[b + 2]!];
    if (za >= NEAR !== zb >= NEAR) {
      const t = (NEAR - za) / (zb - za);
      for (let k = 0; k < 3; k++)
        clipped[3 * out + k] = polygon[a + k]! + t * (polygon[b + k]! - polygon[a + k]!);
      out++;
    }
    if (zb >= NEAR) {
      for (let k = 0; k < 3; k++) clipped[3 * out + k] = polygon[b + k]!;
      out++;
    }
  }
  return out;
}

/** Perspective: `clipped` → `screen` (pixels). */
function project(count: number, focal: number): number {
  for (let i = 0; i < count; i++) {
    const scale = focal / clipped[3 * i + 2]!;
    screen[2 * i] = IMAGE_SIZE / 2 + scale * clipped[3 * i]!;
    screen[2 * i + 1] = IMAGE_SIZE / 2 + scale * clipped[3 * i + 1]!;
  }
  return count;
}
