/**
 * @file Letterbox: shrink or enlarge an image to fit, keep its aspect ratio, black around it. The variant that
 * robots' clients and the training pipeline use (`openpi_client/image_tools.py`); the model's own is in
 * `jax-resize.ts`.
 */
import { InsulaError, type NdArray, sizeOf } from "@insula/model-types";
import { checkShape, shapeText } from "../arrays.js";
import { checkSize, resizeInto } from "./pil-resize.js";

/** Size of the fitted image; the same IEEE expression as upstream, so the same integers. */
export function fittedSize(
  height: number,
  width: number,
  outHeight: number,
  outWidth: number,
): { height: number; width: number } {
  const ratio = Math.max(width / outWidth, height / outHeight);
  return { height: Math.trunc(height / ratio), width: Math.trunc(width / ratio) };
}

/**
 * Resize `[…, h, w, c]` uint8 images to `[…, height, width, c]` without distortion, padding with zeros; an odd
 * pixel of padding goes to the bottom or right. Pixels equal Pillow's. An image of the right size is returned
 * as it is.
 * @throws InsulaError `image/dtype` unless uint8, `image/rank`, `transforms/shape`, `image/size` when nothing would be left.
 */
export function resizeWithPad(image: NdArray, height: number, width: number): NdArray<Uint8Array> {
  const { shape } = image;
  if (!(image.data instanceof Uint8Array)) {
    throw new InsulaError(
      "image/dtype",
      `resizeWithPad: expected uint8, found ${image.data.constructor.name}; convert floats with convertToUint8`,
    );
  }
  if (shape.length < 3) {
    throw new InsulaError("image/rank", `resizeWithPad: expected [..., h, w, c], found ${shapeText(shape)}`);
  }
  checkShape("resizeWithPad", "image", image);
  if (!(Number.isSafeInteger(height) && height > 0 && Number.isSafeInteger(width) && width > 0)) {
    throw new InsulaError("image/size", `resizeWithPad: cannot resize to ${height}×${width}`);
  }
  const [h, w, channels] = shape.slice(-3) as [number, number, number];
  if (h === height && w === width) return image as NdArray<Uint8Array>;
  const fitted = fittedSize(h, w, height, width);
  const top = Math.max(0, Math.trunc((height - fitted.height) / 2));
  const left = Math.max(0, Math.trunc((width - fitted.width) / 2));
  const count = sizeOf(shape.slice(0, -3));
  const data = new Uint8Array(count * height * width * channels);
  for (let n = 0; n < count; n++) {
    const one = image.data.subarray(n * h * w * channels, (n + 1) * h * w * channels);
    checkSize(one, h, w, fitted.height, fitted.width, channels);
    const at = ((n * height + top) * width + left) * channels;
    resizeInto(one, h, w, fitted.height, fitted.width, channels, data, at, width * channels);
  }
  return { data, shape: [...shape.slice(0, -3), height, width, channels] };
}
