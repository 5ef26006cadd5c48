/** @file Tiny datasets with values that encode their place; of use outside vitest, too. */
import sharp from "sharp";
import { createLeRobotDataset, type EpisodeInput, type FeatureSpec } from "../src/index.js";

/** A PNG of one colour, except that its first pixel holds `frame` and `episode`. */
export async function png(episode: number, frame: number, [height, width] = [6, 8]): Promise<Uint8Array> {
  const data = Buffer.alloc(height! * width! * 3, 100);
  data.set([frame, episode, 7]);
  return sharp(data, { raw: { width: width!, height: height!, channels: 3 } })
    .png()
    .toBuffer();
}

export const TINY_FEATURES: Record<string, FeatureSpec> = {
  "observation.images.wrist": { dtype: "image", shape: [6, 8, 3], names: ["height", "width", "channel"] },
  joint_position: { dtype: "float32", shape: [3], names: ["joint_position"] },
  gripper_position: { dtype: "float32", shape: [1], names: ["gripper_position"] },
  actions: { dtype: "float32", shape: [4], names: ["actions"] },
  pose: { dtype: "float64", shape: [2, 2], names: null },
  success: { dtype: "bool", shape: [1], names: null },
  step: { dtype: "int64", shape: [1], names: null },
};

/** `value(episode, frame, dim)` of every float in the tiny dataset. */
export const tinyValue = (episode: number, frame: number, dim: number): number =>
  Math.fround(episode + frame / 16 + dim / 256);

/** Write episodes of the given lengths with {@link TINY_FEATURES}. */
export async function writeTiny(
  dir: string,
  lengths: readonly number[],
  options: { dataFilesSizeInMb?: number; chunksSize?: number; commit?: "episode" | "finalize" } = {},
): Promise<void> {
  const writer = await createLeRobotDataset(dir, {
    fps: 10,
    robotType: "panda",
    features: TINY_FEATURES,
    commit: "finalize",
    ...options,
  });
  for (const [episode, frames] of lengths.entries())
    await writer.addEpisode(await tinyEpisode(episode, frames));
  await writer.finalize();
}

/** Episode number `episode` of a dataset with {@link TINY_FEATURES}. */
export async function tinyEpisode(episode: number, frames: number): Promise<EpisodeInput> {
  const fill = (dim: number) =>
    Float32Array.from({ length: frames * dim }, (_, i) => tinyValue(episode, Math.floor(i / dim), i % dim));
  return {
    task: episode % 2 ? "" : "lift the ä cup",
    frames,
    columns: {
      joint_position: { data: fill(3), shape: [frames, 3] },
      gripper_position: { data: fill(1), shape: [frames, 1] },
      actions: { data: fill(4), shape: [frames, 4] },
      pose: { data: Float64Array.from(fill(4)), shape: [frames, 2, 2] },
      success: {
        data: Uint8Array.from({ length: frames }, (_, i) => +(i === frames - 1)),
        shape: [frames],
      },
      step: { data: BigInt64Array.from({ length: frames }, (_, i) => BigInt(i)), shape: [frames, 1] },
    },
    images: {
      "observation.images.wrist": await Promise.all(
        Array.from({ length: frames }, (_, i) => png(episode, i)),
      ),
    },
  };
}
