/** @file Samples are read once when all have room, and every time when they have not. */
import type { FrameSource } from "@insula/lerobot-dataset";
import { ndarray } from "@insula/model-types";
import { expect, test } from "vitest";
import { keepSamples } from "../src/data/keep-samples.js";

/** Four frames of 16 bytes each. */
function source() {
  const read: number[] = [];
  const frames: FrameSource = {
    totalFrames: 4,
    sample: async (index) => {
      read.push(index);
      return {
        image: { base_0_rgb: ndarray(new Float32Array(3).fill(index), [3]) },
        state: ndarray(new Int32Array(1), [1]),
      };
    },
  };
  return { read, frames };
}

test.each([
  ["all have room: each is read once", 64, [2, 0, 3]],
  ["not all have room: read every time", 63, [2, 0, 2, 3, 0]],
])("%s", async (_, limit, expected) => {
  const { read, frames } = source();
  const kept = keepSamples(frames, limit);
  for (const index of [2, 0, 2, 3, 0])
    expect(await kept.sample(index)).toEqual(await source().frames.sample(index));
  expect(read).toEqual(expected);
  expect(kept.totalFrames).toBe(4);
});
