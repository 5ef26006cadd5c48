/**
 * @file Colours: materials in 16 shades each, so that a picture is one byte per pixel while it is drawn. Index =
 * 16 · material + shade.
 */
import type { Color } from "./scene.js";

/** Number of shades of a material, from dark (0) to full colour (15). */
export const SHADES = 16;

export type Material =
  | "table"
  | "tableStripe"
  | "floor"
  | "wall"
  | "arm"
  | "joint"
  | "hand"
  | "finger"
  | Color;

/** Full colours, sRGB. The first two are the tabletop: they alone take shadows. */
const MATERIALS: Record<Material, readonly [number, number, number]> = {
  table: [136, 135, 132],
  tableStripe: [124, 123, 120],
  floor: [108, 110, 114],
  wall: [140, 144, 148],
  arm: [244, 244, 240],
  joint: [74, 78, 84],
  hand: [226, 226, 224],
  finger: [48, 50, 54],
  red: [222, 38, 38],
  green: [40, 168, 60],
  blue: [38, 84, 220],
};

const NAMES = Object.keys(MATERIALS) as Material[];

/** The number of `material`. */
export function materialIndex(material: Material): number {
  return NAMES.indexOf(material);
}

/** Indices below this belong to the tabletop. */
export const FIRST_UNSHADOWED: number = 2 * SHADES;
export const TABLE_LIT = 13;
export const TABLE_SHADOWED = 8;

/** `[16 · materials, 3]` sRGB bytes. */
export const PALETTE: Uint8Array = Uint8Array.from(
  NAMES.flatMap((name) =>
    Array.from({ length: SHADES }, (_, shade) =>
      MATERIALS[name].map((v) => Math.round(v * (0.28 + (0.72 * shade) / (SHADES - 1)))),
    ).flat(),
  ),
);
