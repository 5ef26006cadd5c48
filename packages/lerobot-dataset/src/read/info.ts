/** @file meta/info.json, read and checked: versions v2.0, v2.1 and v3.0. */
import { InsulaError, sizeOf } from "@insula/model-types";
import { type Features, isCamera, isNumeric } from "../features.js";
import { DATA_PATH_V2, DATA_PATH_V3, VIDEO_PATH_V2, VIDEO_PATH_V3 } from "../paths.js";
import type { DatasetRoot } from "./root.js";

/** The format versions that can be read. */
export const READABLE_VERSIONS = ["v2.0", "v2.1", "v3.0"] as const;
/** A version of the dataset format: LeRobot's `codebase_version`. */
export type CodebaseVersion = (typeof READABLE_VERSIONS)[number];

/** The checked contents of meta/info.json, under camelCase names; optional fields have LeRobot's defaults. */
export interface DatasetInfo {
  codebaseVersion: CodebaseVersion;
  robotType: string | null;
  fps: number;
  totalEpisodes: number;
  totalFrames: number;
  features: Features;
  /** Files per chunk folder. */
  chunksSize: number;
  /** Python format string of the data files. */
  dataPath: string;
  /** Python format string of the video files; null when there are none. */
  videoPath: string | null;
  /** The file as it is, for fields not named here. */
  raw: Readonly<Record<string, unknown>>;
}

const MAX_INFO_BYTES = 1 << 24;
/** Numbers per frame of one feature. */
const MAX_FEATURE_SIZE = 1 << 20;

/**
 * Read `root`/meta/info.json.
 * @throws InsulaError `dataset/missing-info`, `dataset/info` (naming the field), `dataset/version`.
 */
export async function readInfo(root: DatasetRoot): Promise<DatasetInfo> {
  const relative = "meta/info.json";
  const path = await root.file(relative);
  const text = await root.text(relative, MAX_INFO_BYTES).catch((cause: unknown) => {
    if (!(cause instanceof InsulaError) || cause.code !== "dataset/missing-file") throw cause;
    throw new InsulaError(
      "dataset/missing-info",
      `${path}: not found; a LeRobot dataset folder has meta/, data/ and, with cameras, videos/`,
      { cause },
    );
  });
  return parseInfo(text, path);
}

/** Parse the text of an info.json; `path` is for error messages. */
export function parseInfo(text: string, path: string): DatasetInfo {
  const fail = (problem: string, cause?: unknown): never => {
    throw new InsulaError("dataset/info", `${path}: ${problem}`, { cause });
  };
  let raw: Record<string, unknown> = {};
  try {
    raw = JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    fail("is not JSON", cause);
  }
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) fail("expected an object");
  const version = raw["codebase_version"];
  if (!READABLE_VERSIONS.includes(version as CodebaseVersion)) {
    throw new InsulaError(
      "dataset/version",
      `${path}: codebase_version: expected ${READABLE_VERSIONS.join(", ")}, found ${JSON.stringify(version)}; convert the dataset with LeRobot's own scripts`,
    );
  }
  const count = (key: string, fallback?: number): number => {
    const value = raw[key] ?? fallback;
    return Number.isSafeInteger(value) && (value as number) >= 0
      ? (value as number)
      : fail(`${key}: expected a count, found ${JSON.stringify(raw[key])}`);
  };
  const fps = raw["fps"];
  if (!(typeof fps === "number" && fps > 0 && Number.isFinite(fps)))
    fail(`fps: expected frames per second, found ${JSON.stringify(fps)}`);
  const v3 = version === "v3.0";
  const features = checkFeatures(raw["features"], fail);
  return {
    codebaseVersion: version as CodebaseVersion,
    robotType: typeof raw["robot_type"] === "string" ? raw["robot_type"] : null,
    fps: fps as number,
    totalEpisodes: count("total_episodes"),
    totalFrames: count("total_frames"),
    features,
    chunksSize: Math.max(1, count("chunks_size", 1000)),
    dataPath: typeof raw["data_path"] === "string" ? raw["data_path"] : v3 ? DATA_PATH_V3 : DATA_PATH_V2,
    videoPath: Object.values(features).some((f) => f.dtype === "video")
      ? typeof raw["video_path"] === "string"
        ? raw["video_path"]
        : v3
          ? VIDEO_PATH_V3
          : VIDEO_PATH_V2
      : null,
    raw,
  };
}

function checkFeatures(value: unknown, fail: (problem: string) => never): Features {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return fail("features: expected an object");
  for (const [name, feature] of Object.entries(
    value as Record<string, { dtype?: unknown; shape?: unknown } | null>,
  )) {
    if (name === "__proto__") fail("features: a feature may not be called __proto__");
    if (typeof feature?.dtype !== "string") return fail(`features.${name}.dtype: expected a string`);
    const { shape } = feature as { shape: unknown };
    if (!Array.isArray(shape) || !shape.every((d) => Number.isSafeInteger(d) && d >= 0)) {
      fail(`features.${name}.shape: expected dimensions, found ${JSON.stringify(shape)}`);
    }
    if (isNumeric(feature.dtype) && sizeOf(shape as number[]) > MAX_FEATURE_SIZE) {
      fail(
        `features.${name}.shape: ${JSON.stringify(shape)} is more than ${MAX_FEATURE_SIZE} numbers per frame`,
      );
    }
  }
  return value as Features;
}

/** Names of the camera features, in the order of info.json. */
export function cameraNames(features: Features): string[] {
  return Object.keys(features).filter((name) => isCamera(features[name]!));
}

/** Names of the cameras that are stored as video. */
export function videoNames(features: Features): string[] {
  return Object.keys(features).filter((name) => features[name]!.dtype === "video");
}
