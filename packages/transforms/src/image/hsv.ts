/** @file Colours as hue (turns), saturation and value, each 0…1. */

/** The colour at `pixels[at … at + 2]` into `hsv`. */
export function rgbToHsv(pixels: Float32Array, at: number, hsv: [number, number, number]): void {
  const r = pixels[at]!;
  const g = pixels[at + 1]!;
  const b = pixels[at + 2]!;
  const max = Math.max(r, g, b);
  const range = max - Math.min(r, g, b);
  let sixth = 0;
  if (range > 0) {
    if (max === r) sixth = (g - b) / range;
    else if (max === g) sixth = (b - r) / range + 2;
    else sixth = (r - g) / range + 4;
  }
  hsv[0] = (((sixth / 6) % 1) + 1) % 1;
  hsv[1] = max > 0 ? range / max : 0;
  hsv[2] = max;
}

/** The inverse; the hue may lie outside of 0…1. */
export function hsvToRgb(hsv: readonly [number, number, number], pixels: Float32Array, at: number): void {
  const [hue, saturation, value] = hsv;
  for (let c = 0; c < 3; c++) {
    // red, green and blue are the same curve, a third of a turn apart
    const k = (((5 - 2 * c + hue * 6) % 6) + 6) % 6;
    pixels[at + c] = value - value * saturation * Math.max(0, Math.min(k, 4 - k, 1));
  }
}
