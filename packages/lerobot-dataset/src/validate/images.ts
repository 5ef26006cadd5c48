/** @file Cameras that are stored as images in the data files: every one decodes, to the size that info.json says. */
import { InsulaError } from "@insula/model-types";
import { type FeatureSpec, imageSize } from "../features.js";
import type { Episode } from "../read/episodes.js";
import { imageStore } from "../read/images.js";
import type { DatasetRoot } from "../read/root.js";
import { type Problem, problemOf } from "./problem.js";

const CACHE_BYTES = 1 << 26;

/** Decode the images of `camera` of the given episodes. */
export async function* checkImages(
  root: DatasetRoot,
  camera: string,
  feature: FeatureSpec,
  episodes: readonly Episode[],
): AsyncGenerator<Problem> {
  const images = imageStore(CACHE_BYTES);
  const { height, width } = imageSize(camera, feature);
  try {
    for (const { index: episode, data, length } of episodes) {
      for (let row = 0; row < length; row++) {
        const at = { file: data.path, episode, row };
        try {
          const [h, w] = (await images.pixels(await root.file(data.path), camera, data.row + row)).shape;
          if (h === height && w === width) continue;
          const message = `${camera}: expected ${height}x${width} pixels (height x width), found ${h}x${w}`;
          yield { code: "dataset/shape", ...at, message };
        } catch (error) {
          if (!(error instanceof InsulaError)) throw error;
          yield { ...problemOf(error, root.path, data.path), ...at };
          if (error.code !== "dataset/image") break; // The file, not the picture.
        }
      }
    }
  } finally {
    await images.close();
  }
}
