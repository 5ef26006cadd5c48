/** @file A sampled action chunk beside the recorded one, and what the robot saw. */
import type { NdArray, Sample } from "@insula/model-types";
import { parseImage, resizeBilinear } from "@insula/transforms";
import type { RobotSpec } from "../data/robots.js";
import type { Pixels } from "../metrics/png.js";
import { type RecordedChunk, recordedChunk } from "./action-errors.js";

/** A camera's picture, small. */
export interface CameraView {
  /** Dataset column. */
  name: string;
  pixels: Pixels;
}

/** A frame of a held-out episode. */
export interface ChunkFrame {
  /** `episode_index`, and the frame's place in the episode. */
  episode: number;
  frame: number;
  prompt: string;
  cameras: readonly CameraView[];
  recorded: RecordedChunk;
}

/** What was sampled there: `[horizon, dim]`, in the robot's units. */
export interface SampledChunk extends ChunkFrame {
  sampled: NdArray;
}

/** A dataset sample, read with its action chunk, and the same as the robot would have seen it. */
export function chunkFrame(sample: Sample, seen: Sample, spec: RobotSpec): ChunkFrame {
  return {
    episode: Number(sample["episode_index"]),
    frame: Number(sample["frame_index"]),
    prompt: String(seen["prompt"] ?? ""),
    cameras: cameraViews(sample, spec),
    recorded: recordedChunk(sample, spec),
  };
}

/** Height of the pictures that are kept. */
const VIEW_HEIGHT = 176;

/** The robot's cameras in a dataset sample, scaled down. */
export function cameraViews(sample: Sample, { cameraColumns }: RobotSpec): CameraView[] {
  return cameraColumns.flatMap((name) => {
    const found = sample[name];
    if (found === undefined) return [];
    const { data, shape } = parseImage(found as NdArray, name);
    const [height, width, channels] = shape as [number, number, number];
    if (height <= VIEW_HEIGHT) return [{ name, pixels: { width, height, rgb: data } }];
    const small = Math.max(1, Math.round((width * VIEW_HEIGHT) / height));
    const rgb = resizeBilinear(data, height, width, VIEW_HEIGHT, small, channels);
    return [{ name, pixels: { width: small, height: VIEW_HEIGHT, rgb } }];
  });
}
