/** @file Bring every camera of a sample to the model's image size (openpi `ResizeImages`). */
import { InsulaError, isNdArray, type Leaf, type Sample } from "@insula/model-types";
import { resizeWithPad } from "./image/resize-with-pad.js";
import { named, type Transform } from "./transform.js";

/**
 * Letterbox every entry of `image` to `[height, width, 3]`, {@link resizeWithPad}. Upstream: `ResizeImages`.
 * @throws InsulaError `transforms/missing-key` without `image`, and as resizeWithPad, naming the camera.
 */
export function resizeImages(height: number, width: number): Transform {
  return named("resizeImages", (sample) => {
    const cameras = sample["image"];
    if (cameras === undefined || typeof cameras !== "object" || isNdArray(cameras)) {
      throw new InsulaError(
        "transforms/missing-key",
        `resizeImages: expected a record of cameras under 'image' (available: ${Object.keys(sample).join(", ")})`,
      );
    }
    const resize = ([camera, image]: [string, Leaf | Sample]): [string, Leaf] => {
      if (!isNdArray(image)) {
        throw new InsulaError("image/rank", `resizeImages: image/${camera}: expected an array [h, w, c]`);
      }
      try {
        return [camera, resizeWithPad(image, height, width)];
      } catch (cause) {
        if (!(cause instanceof InsulaError)) throw cause;
        throw new InsulaError(cause.code, `image/${camera}: ${cause.message}`, { cause });
      }
    };
    return { ...sample, image: Object.fromEntries(Object.entries(cameras as Sample).map(resize)) };
  });
}
