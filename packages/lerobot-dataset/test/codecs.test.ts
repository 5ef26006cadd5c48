/** @file Codecs and group structures beyond LeRobot's defaults, encoded here: B-frames, long and open groups. */
import { join } from "node:path";
import fc from "fast-check";
import { AV_LOG_QUIET } from "node-av/constants";
import { Log } from "node-av/lib";
import { describe, expect, test } from "vitest";
import { openVideo } from "../src/video/video-file.js";
import { encodeVideo, levelOf } from "./encode-video.js";
import { tempFolder } from "./fixtures.js";

const folder = tempFolder();
const [frames, fps] = [48, 10];
Log.setLevel(AV_LOG_QUIET);

/** The luma that gives the mean of these (grey) RGB pixels, BT.601 limited range. */
const lumaOf = (rgb: Uint8Array): number => 16 + (rgb.reduce((a, b) => a + b, 0) / rgb.length) * (219 / 255);

const cases: Record<string, Omit<Parameters<typeof encodeVideo>[1], "frames" | "fps">> = {
  "MPEG-4": { codec: "mpeg4", gop: 12, bFrames: 0 },
  "MPEG-4 with B-frames": { codec: "mpeg4", gop: 12, bFrames: 2 },
  "H.264 with B-frames, one key frame in 30": { codec: "libx264", gop: 30, bFrames: 3 },
  "HEVC with open groups": {
    codec: "libx265",
    gop: 15,
    bFrames: 3,
    settings: { "x265-params": "open-gop=1:keyint=15:min-keyint=15:log-level=none" },
  },
};

for (const [name, options] of Object.entries(cases)) {
  describe(name, () => {
    const path = join(folder, `${name.replace(/\W+/g, "-")}.mp4`);
    encodeVideo(path, { ...options, frames, fps });

    test("in order: every frame, decoded once", async () => {
      const video = await openVideo(path);
      for (let i = 0; i < frames; i++) {
        const { data } = await video.frame(i / fps);
        expect(Math.abs(lumaOf(data) - levelOf(i)), `frame ${i}`).toBeLessThan(2);
      }
      expect(video.decoded).toBe(frames);
      await video.close();
    });

    test("in any order: the frame asked for, never a neighbour", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(fc.nat(frames - 1), { minLength: 1, maxLength: 10 }), async (order) => {
          const video = await openVideo(path);
          for (const i of order) {
            const { data } = await video.frame(i / fps);
            expect(Math.abs(lumaOf(data) - levelOf(i)), `frame ${i} of ${order}`).toBeLessThan(2);
          }
          await video.close();
        }),
        { numRuns: 25 },
      );
    });

    test("each frame alone, from a fresh decoder", async () => {
      for (let i = 0; i < frames; i++) {
        const video = await openVideo(path);
        const { data } = await video.frame(i / fps);
        expect(Math.abs(lumaOf(data) - levelOf(i)), `frame ${i}`).toBeLessThan(2);
        await video.close();
      }
    });
  });
}
