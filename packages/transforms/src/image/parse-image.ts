/** @file Cameras' images, floats or bytes, channels first or last, as uint8 `[h, w, c]`. */
import { InsulaError, type NdArray } from "@insula/model-types";
import { checkShape, isFloat, shapeText } from "../arrays.js";

/**
 * Floats in 0…1 become `trunc(255·x)`, in the floats' own precision; uint8 passes through (openpi
 * `convert_to_uint8`). Lossless for float32 images that were k/255.
 * @throws InsulaError `image/range` for values that do not fit (upstream wraps them around), `image/dtype`.
 */
export function convertToUint8(image: NdArray, key: string = "image"): NdArray<Uint8Array> {
  if (image.data instanceof Uint8Array) return image as NdArray<Uint8Array>;
  if (!isFloat(image)) {
    throw new InsulaError(
      "image/dtype",
      `${key}: expected uint8 or float pixels, found ${image.data.constructor.name}`,
    );
  }
  const single = image.data instanceof Float32Array;
  const data = new Uint8Array(image.data.length);
  for (let i = 0; i < data.length; i++) {
    const scaled = 255 * image.data[i]!;
    const v = Math.trunc(single ? Math.fround(scaled) : scaled);
    if (!(v >= 0 && v <= 255)) {
      throw new InsulaError(
        "image/range",
        `${key}: expected float pixels in 0…1, found ${image.data[i]} at element ${i}` +
          (image.data[i]! < 0 ? "; map -1…1 to 0…1 first" : "; divide 0…255 by 255, or pass uint8"),
      );
    }
    data[i] = v;
  }
  return { data, shape: image.shape };
}

/**
 * A robot's camera image as uint8 `[h, w, c]`: floats are scaled, `[3, h, w]` is transposed (openpi
 * `_parse_image`). As upstream, an image with three *rows* is taken for channels first.
 * @throws InsulaError `image/rank` unless there are three axes, `transforms/shape` when the shape does not count the
 * pixels, and as {@link convertToUint8}.
 */
export function parseImage(image: NdArray, key: string = "image"): NdArray<Uint8Array> {
  if (image.shape.length !== 3) {
    throw new InsulaError(
      "image/rank",
      `${key}: expected an image [h, w, 3] or [3, h, w], found ${shapeText(image.shape)}`,
    );
  }
  const bytes = convertToUint8(checkShape("parseImage", key, image), key);
  return bytes.shape[0] === 3 ? channelsLast(bytes) : bytes;
}

/** `[c, h, w]` → `[h, w, c]` */
function channelsLast({ data, shape }: NdArray<Uint8Array>): NdArray<Uint8Array> {
  const [channels, h, w] = shape as [number, number, number];
  const out = new Uint8Array(data.length);
  const plane = h * w;
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < plane; i++) out[i * channels + c] = data[c * plane + i]!;
  }
  return { data: out, shape: [h, w, channels] };
}
