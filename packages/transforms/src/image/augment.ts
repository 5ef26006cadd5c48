/**
 * @file Training-time image augmentation (openpi `models/model.py` `preprocess_observation` on augmax): a slight
 * crop and rotation of the fixed cameras, colour jitter of all. Drawing and applying are apart: the numbers come
 * from a seeded generator, and the same numbers always give the same pixels.
 */
import { InsulaError, isNdArray, type NdArray, type Sample } from "@insula/model-types";
import { checkShape, shapeText } from "../arrays.js";
import { hsvToRgb, rgbToHsv } from "./hsv.js";
import { keyedRandom } from "./random.js";

/** What is done to one image. */
export interface Augmentation {
  /** Crop, rotation and back to size in one resampling; absent for wrist cameras. */
  geometry?: {
    /** Side of the crop relative to the image. */
    scale: number;
    /** Centre of the crop, -1…1 of the room it has: vertically, horizontally. */
    center: readonly [number, number];
    /** Radians. */
    angle: number;
  };
  /** Changes in HSV space; absent where the jitter is skipped. */
  color?: { brightness: number; contrast: number; saturation: number; hue: number };
}

/**
 * `upstream` draws as openpi's augmentation really behaves: jitter for half of the images, hue ±0.1 that was never
 * asked for, saturation without effect, other numbers for wrist cameras than for fixed ones (cameras of one kind
 * share theirs). `corrected` does what its configuration says: brightness ±0.3, contrast ±0.4, saturation ±0.5,
 * always, the same for all cameras of a sample.
 */
export type AugmentVariant = "upstream" | "corrected";

const RANGE = { brightness: 0.3, contrast: 0.4, saturation: 0.5, hue: 0.1 };

/** Draw one augmentation. `random` is uniform in [0, 1); the number of draws is always the same. */
export function drawAugmentation(
  random: () => number,
  options: { variant?: AugmentVariant; geometry?: boolean } = {},
): Augmentation {
  const { variant = "corrected", geometry = true } = options;
  const symmetric = (limit: number): number => (random() * 2 - 1) * limit;
  const upstream = variant === "upstream";
  const center = [symmetric(1), symmetric(1)] as const;
  const angle = symmetric((5 * Math.PI) / 180);
  const apply = random() < 0.5;
  const [brightness, contrast, saturation, hue] = Object.values(RANGE).map(symmetric) as [
    number,
    number,
    number,
    number,
  ];
  const color = { brightness, contrast, saturation: upstream ? 0 : saturation, hue: upstream ? hue : 0 };
  return {
    ...(geometry ? { geometry: { scale: 0.95, center, angle } } : {}),
    ...(upstream && !apply ? {} : { color }),
  };
}

/**
 * Augment a uint8 image `[h, w, 3]`; black where the rotation looks outside. The result is rounded and clamped to
 * uint8 (upstream keeps floats, which may leave the range).
 * @throws InsulaError `image/rank`.
 */
export function augmentImage(image: NdArray<Uint8Array>, augmentation: Augmentation): NdArray<Uint8Array> {
  const [h, w, channels] = image.shape;
  if (image.shape.length !== 3 || channels !== 3) {
    throw new InsulaError("image/rank", `augmentImage: expected [h, w, 3], found ${shapeText(image.shape)}`);
  }
  checkShape("augmentImage", "image", image);
  const { geometry, color } = augmentation;
  const pixels = geometry ? resample(image.data, h!, w!, geometry) : toFloats(image.data);
  if (color) jitter(pixels, color);
  return { data: toBytes(pixels), shape: image.shape };
}

/**
 * Augment every camera of a sample: fixed cameras in geometry and colour, those with `wrist` in their name in colour
 * only.
 * @throws InsulaError `image/dtype` for an image that is not uint8, `image/rank`.
 */
export function augmentImages(
  sample: Sample,
  random: () => number,
  options: { variant?: AugmentVariant } = {},
): Sample {
  const variant = options.variant ?? "corrected";
  const cameras = sample["image"];
  if (cameras === undefined || typeof cameras !== "object" || isNdArray(cameras)) return sample;
  const fixed = drawAugmentation(random, { variant });
  const { geometry: _, ...wrist } = variant === "corrected" ? fixed : drawAugmentation(random, { variant });
  const image = Object.entries(cameras).map(([camera, x]) => {
    if (!isNdArray(x) || !(x.data instanceof Uint8Array)) {
      throw new InsulaError(
        "image/dtype",
        `augmentImages: image/${camera}: expected a uint8 array [h, w, 3]`,
      );
    }
    return [camera, augmentImage(x as NdArray<Uint8Array>, camera.includes("wrist") ? wrist : fixed)];
  });
  return { ...sample, image: Object.fromEntries(image) };
}

/** Which batch: its draws depend on nothing else. */
export interface AugmentBatchOptions {
  /** The run's seed. */
  seed: number;
  /** The optimizer step that trains on the batch. */
  step: number;
  /** Place of the batch's first sample in the whole batch, where ranks or micro-batches share one. Default 0. */
  offset?: number;
  variant?: AugmentVariant;
}

/**
 * {@link augmentImages} for the transformed samples of a training batch, before they are collated. Each sample has
 * its own generator, of (seed, step, place in the batch): a resumed run, another number of workers or ranks, or
 * smaller micro-batches draw the same.
 */
export function augmentBatch(samples: readonly Sample[], options: AugmentBatchOptions): Sample[] {
  const { seed, step, offset = 0, variant = "corrected" } = options;
  return samples.map((sample, i) => augmentImages(sample, keyedRandom(seed, step, offset + i), { variant }));
}

/** One bilinear lookup per pixel: rotate about the centre, shrink to the crop, move to where the crop is. */
function resample(
  src: Uint8Array,
  h: number,
  w: number,
  { scale, center, angle }: NonNullable<Augmentation["geometry"]>,
): Float32Array {
  const cropH = Math.trunc(h * scale);
  const cropW = Math.trunc(w * scale);
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  const y0 = (h - 1) / 2 + (center[0] * (h - cropH)) / 2;
  const x0 = (w - 1) / 2 + (center[1] * (w - cropW)) / 2;
  const out = new Float32Array(h * w * 3);
  let at = 0;
  for (let row = 0; row < h; row++) {
    for (let column = 0; column < w; column++) {
      const dy = row - (h - 1) / 2;
      const dx = column - (w - 1) / 2;
      const y = y0 + ((cos * dy + sin * dx) * cropH) / h;
      const x = x0 + ((cos * dx - sin * dy) * cropW) / w;
      const top = Math.floor(y);
      const left = Math.floor(x);
      const bottomShare = y - top;
      const rightShare = x - left;
      const from = (top * w + left) * 3;
      if (top >= 0 && top < h - 1 && left >= 0 && left < w - 1) {
        const a = ((1 - bottomShare) * (1 - rightShare)) / 255;
        const b = ((1 - bottomShare) * rightShare) / 255;
        const c = (bottomShare * (1 - rightShare)) / 255;
        const d = (bottomShare * rightShare) / 255;
        const below = from + w * 3;
        for (let i = 0; i < 3; i++) {
          out[at + i] =
            a * src[from + i]! + b * src[from + 3 + i]! + c * src[below + i]! + d * src[below + 3 + i]!;
        }
      } else {
        for (let corner = 0; corner < 4; corner++) {
          const cy = top + (corner >> 1);
          const cx = left + (corner & 1);
          if (cy < 0 || cy >= h || cx < 0 || cx >= w) continue;
          const weight = ((1 - Math.abs(y - cy)) * (1 - Math.abs(x - cx))) / 255;
          for (let i = 0; i < 3; i++) out[at + i]! += weight * src[(cy * w + cx) * 3 + i]!;
        }
      }
      at += 3;
    }
  }
  return out;
}

/** augmax's brightness and contrast curves on the value channel, then saturation and hue; in place. */
function jitter(pixels: Float32Array, color: NonNullable<Augmentation["color"]>): void {
  const { brightness: b, contrast, saturation, hue } = color;
  // contrast: slope s in the middle, 1/s at both ends, continuous at p and 1 - p
  const s = Math.tan(((contrast + 1) * Math.PI) / 4);
  const p = s === 1 ? 0 : (s - s * s) / (2 * (1 - s * s));
  const [gain, lift] = b < 0 ? [1 + b, 0] : [1 - b, b];
  const hsv: [number, number, number] = [0, 0, 0];
  for (let i = 0; i < pixels.length; i += 3) {
    const [red, green, blue] = [pixels[i]!, pixels[i + 1]!, pixels[i + 2]!];
    const max = Math.max(red, green, blue);
    const min = Math.min(red, green, blue);
    const lit = max * gain + lift;
    const value = lit < p ? lit / s : lit > 1 - p ? lit / s + 1 - 1 / s : s * (lit - 0.5) + 0.5;
    const strength = max > 0 ? Math.min(((max - min) / max) * (1 + saturation), 1) : 0;
    if (hue === 0) {
      // A channel keeps its place between the largest and the smallest, so its hue need not be known.
      const step = max > min ? (value * strength) / (max - min) : 0;
      pixels[i] = value - step * (max - red);
      pixels[i + 1] = value - step * (max - green);
      pixels[i + 2] = value - step * (max - blue);
    } else {
      rgbToHsv(pixels, i, hsv);
      hsv[0] += hue;
      hsv[1] = strength;
      hsv[2] = value;
      hsvToRgb(hsv, pixels, i);
    }
  }
}

function toFloats(bytes: Uint8Array): Float32Array {
  const out = new Float32Array(bytes.length);
  for (let i = 0; i < out.length; i++) out[i] = bytes[i]! / 255;
  return out;
}

function toBytes(pixels: Float32Array): Uint8Array {
  // rounds half to even, clamps
  const out = new Uint8ClampedArray(pixels.length);
  for (let i = 0; i < out.length; i++) out[i] = pixels[i]! * 255;
  return new Uint8Array(out.buffer);
}
