/** @file The features of an edited dataset: those of its source, fewer cameras perhaps, otherwise stored perhaps. */
import { type FeatureSpec, type Features, isCamera } from "../features.js";
import { resolveKey } from "../read/sample.js";
import { ownFeatures } from "../write/writer.js";

/** How cameras are stored: as in the source, as PNG (or JPEG) in the data files, or as mp4. */
export type CameraStorage = "keep" | "image" | "video";

/**
 * The source's own features in their order, with the given cameras (default: all) in the given storage.
 * @throws InsulaError `dataset/missing-key` for a camera that is not there.
 */
export function targetFeatures(
  source: Features,
  options: { cameras?: readonly string[]; storage?: CameraStorage; encode?: boolean },
): Record<string, FeatureSpec> {
  const { cameras, storage = "keep", encode = false } = options;
  const all = Object.keys(source).filter((name) => isCamera(source[name]!));
  const kept = new Set(cameras?.map((name) => resolveKey(name, all, "camera")) ?? all);
  const entries = Object.entries(ownFeatures(source)).flatMap(([name, feature]) => {
    if (!isCamera(feature)) return [[name, feature] as const];
    if (!kept.has(name)) return [];
    const dtype = storage === "keep" ? feature.dtype : storage;
    if (dtype === feature.dtype && !(encode && dtype === "video")) return [[name, feature] as const];
    const { dtype: _, info: __, ...rest } = feature; // What `info` says of the old video is no longer so.
    return [[name, { dtype, ...rest }] as const];
  });
  return Object.fromEntries(entries);
}
