/**
 * @file Cameras stored as video: encoded from pictures, or copied from files that are there without a change to any
 * pixel.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { InsulaError, type NdArray } from "@insula/model-types";
import { describeShared, sharedPath } from "@insula/test-kit";
import { describe, expect, test } from "vitest";
import {
  appendToLeRobotDataset,
  type CreateOptions,
  createLeRobotDataset,
  openLeRobotDataset,
  type VideoEncoding,
} from "../src/index.js";
import { openVideo } from "../src/video/video-file.js";
import { tempFolder } from "./fixtures.js";

const folder = tempFolder();
const [HEIGHT, WIDTH] = [96, 128];
const SIZE = [HEIGHT, WIDTH] as const;
const json = (...path: string[]) => JSON.parse(readFileSync(join(folder, ...path), "utf8"));

/** A smooth picture that is brighter with every frame. */
function picture(episode: number, frame: number, [height, width] = SIZE): NdArray<Uint8Array> {
  const data = new Uint8Array(height * width * 3);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += 3) data.set([40 + x, 20 + 8 * frame, 60 + y + 20 * episode], i);
  }
  return { data, shape: [height, width, 3] };
}

const options = (video: VideoEncoding, fps = 10): CreateOptions => ({
  fps,
  robotType: "panda",
  features: {
    cam: { dtype: "video", shape: [HEIGHT, WIDTH, 3], names: ["height", "width", "channel"] },
    actions: { dtype: "float32", shape: [2] },
  },
  video,
});

const episode = (e: number, frames: number) => ({
  task: `task ${e}`,
  frames,
  columns: { actions: { data: new Float32Array(frames * 2).fill(e), shape: [frames, 2] } },
  images: { cam: Array.from({ length: frames }, (_, i) => picture(e, i)) },
});

const meanDifference = (a: Uint8Array, b: Uint8Array): number =>
  a.reduce((sum, x, i) => sum + Math.abs(x - b[i]!), 0) / a.length;

describe("encoded video", () => {
  test.each([
    ["av1", 10],
    ["h264", 10],
    ["h264", 29.97],
  ] as const)("%s at %d fps: frames are found, in order, close to the pictures", async (codec, fps) => {
    const dir = `${codec}-${fps}`;
    const lengths = [7, 1, 12];
    const writer = await createLeRobotDataset(join(folder, dir), options({ codec }, fps));
    for (const [e, frames] of lengths.entries()) await writer.addEpisode(episode(e, frames));
    await writer.finalize();
    const dataset = await openLeRobotDataset(join(folder, dir));
    for (const { index: e, from, to } of dataset.episodes) {
      for (let index = from; index < to; index++) {
        const { data, shape } = (await dataset.sample(index))["cam"] as NdArray<Uint8Array>;
        expect(shape).toEqual([HEIGHT, WIDTH, 3]);
        const off = (frame: number): number => meanDifference(data, picture(e, frame).data);
        expect(off(index - from)).toBeLessThan(2);
        expect(off(index - from)).toBeLessThan(off(index - from + 1));
        if (index > from) expect(off(index - from)).toBeLessThan(off(index - from - 1));
      }
    }
    await dataset.close();
    const { video_path, features } = json(dir, "meta/info.json");
    expect(video_path).toBe("videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4");
    expect(features.cam.info).toEqual({
      "video.height": HEIGHT,
      "video.width": WIDTH,
      "video.codec": codec,
      "video.pix_fmt": "yuv420p",
      "video.is_depth_map": false,
      "video.fps": Math.trunc(fps),
      "video.channels": 3,
      has_audio: false,
    });
    // Of the pictures themselves: red is 40 + x.
    const red = 40 + (WIDTH - 1) / 2;
    expect(json(dir, "meta/stats.json").cam.mean[0][0][0]).toBeCloseTo(red / 255, 12);
  });

  test.each([
    [6, 8],
    [10, 24],
    [18, 34],
    [50, 70],
  ])("%d x %d: rows that are no whole number of vectors", async (height, width) => {
    const dir = join(folder, `${height}x${width}`);
    const frames = 3;
    const writer = await createLeRobotDataset(dir, {
      fps: 10,
      robotType: "panda",
      features: { cam: { dtype: "video", shape: [height, width, 3] } },
      video: { codec: "h264", crf: 1 },
    });
    const cam = Array.from({ length: frames }, (_, i) => picture(0, i, [height, width]));
    await writer.addEpisode({ task: "", frames, columns: {}, images: { cam } });
    await writer.finalize();
    const dataset = await openLeRobotDataset(dir);
    for (let i = 0; i < frames; i++) {
      const { data } = (await dataset.sample(i))["cam"] as NdArray<Uint8Array>;
      expect(Math.max(...data.map((x, k) => Math.abs(x - cam[i]!.data[k]!)))).toBeLessThan(8);
    }
    await dataset.close();
  });

  test("appending keeps the codec; a refused episode leaves no file and no gap", async () => {
    const dir = join(folder, "appended");
    const first = await createLeRobotDataset(dir, options({ codec: "h264" }));
    await first.addEpisode(episode(0, 3));
    await first.finalize();
    const writer = await appendToLeRobotDataset(dir);
    const short = { ...episode(1, 4), images: { cam: [...episode(1, 3).images.cam] } };
    await expect(writer.addEpisode(short)).rejects.toThrow("cam: expected 4 images, found 3 in episode 1");
    const broken = (async function* () {
      yield picture(1, 0);
      throw new Error("camera unplugged");
    })();
    await expect(writer.addEpisode({ ...episode(1, 4), images: { cam: broken } })).rejects.toThrow(
      "camera unplugged",
    );
    await writer.addEpisode(episode(1, 4));
    await writer.finalize();
    const dataset = await openLeRobotDataset(dir);
    expect(dataset.episodes.map((e) => e.videos["cam"]!.path)).toEqual(
      [0, 1].map((i) => `videos/cam/chunk-000/file-00${i}.mp4`),
    );
    expect(dataset.features["cam"]!.info!["video.codec"]).toBe("h264");
    const last = (await dataset.sample(6))["cam"] as NdArray<Uint8Array>;
    expect(meanDifference(last.data, picture(1, 3).data)).toBeLessThan(2);
    await dataset.close();
    expect(existsSync(join(dir, "videos/cam/chunk-000/file-002.mp4"))).toBe(false);
  });
});

describeShared("copied video", () => {
  /** Several episodes in one file: AV1 and H.264 with an edit list. */
  test.each(["droid_subset_v30", "droid_subset_v30_multifile"])(
    "%s: an episode cut out of its file is the same, bit for bit",
    async (name) => {
      const source = await openLeRobotDataset(sharedPath("data/lerobot", name), {
        cameras: ["wrist_image_left"],
      });
      const dir = join(folder, name);
      const shape = [192, 320, 3];
      const writer = await createLeRobotDataset(dir, {
        fps: 5,
        robotType: "panda",
        features: { wrist_image_left: { dtype: "video", shape } },
      });
      const chosen = [2, 5, 7].map((e) => source.episodes[e]!);
      for (const { length: frames, videos, tasks } of chosen) {
        const { path, fromTimestamp } = videos["wrist_image_left"]!;
        await writer.addEpisode({
          task: tasks[0]!,
          frames,
          columns: {},
          videos: { wrist_image_left: { path: join(source.root, path), fromTimestamp } },
        });
      }
      await writer.finalize();
      const copy = await openLeRobotDataset(dir);
      for (const [i, { from, length }] of chosen.entries()) {
        expect(copy.episodes[i]!.videos["wrist_image_left"]).toEqual({
          path: `videos/wrist_image_left/chunk-000/file-00${i}.mp4`,
          fromTimestamp: 0,
        });
        const video = await openVideo(join(dir, copy.episodes[i]!.videos["wrist_image_left"]!.path));
        await expect(video.frame(length / 5)).rejects.toBeInstanceOf(InsulaError); // Nothing of the neighbours.
        await video.close();
        for (let frame = 0; frame < length; frame++) {
          const a = (await source.sample(from + frame))["wrist_image_left"] as NdArray<Uint8Array>;
          const b = (await copy.sample(copy.episodes[i]!.from + frame))[
            "wrist_image_left"
          ] as NdArray<Uint8Array>;
          expect(Buffer.compare(a.data, b.data)).toBe(0);
        }
      }
      await source.close();
      await copy.close();
    },
  );
});
