/** @file Video access: any order of requests gives the same frames, and no more decoding than that order needs. */
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeShared, sharedJson, sharedPath } from "@insula/test-kit";
import fc from "fast-check";
import { AV_PKT_FLAG_KEY, AVMEDIA_TYPE_VIDEO } from "node-av/constants";
import { FFmpegError, FormatContext, Packet } from "node-av/lib";
import { describe, expect, test } from "vitest";
import { loadNodeAv } from "../src/video/node-av.js";
import { openVideo } from "../src/video/video-file.js";
import { videoStore } from "../src/video/video-store.js";
import { encodeVideo } from "./encode-video.js";
import { tempFolder } from "./fixtures.js";

const folder = tempFolder();

test("without node-av, the error says how to install it", async () => {
  const absent = () => Promise.reject(new Error("Cannot find package 'node-av'"));
  await expect(loadNodeAv(absent)).rejects.toMatchObject({
    code: "dataset/no-video-decoder",
    message: expect.stringContaining("npm install node-av@"),
  });
});

test("a file that makes FFmpeg open others is not a video", async () => {
  const secret = join(folder, "secret.mp4");
  encodeVideo(secret, { codec: "mpeg4", frames: 8, fps: 10, gop: 4, bFrames: 0 });
  const path = join(folder, "list.mp4");
  const lists = [
    "ffconcat version 1.0\nfile secret.mp4\n",
    `#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.8,\n${secret}\n#EXT-X-ENDLIST\n`,
    "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
  ];
  for (const list of lists) {
    writeFileSync(path, list);
    await expect(openVideo(path)).rejects.toMatchObject({ code: "dataset/video" });
  }
});

/** Numbers of the key frames of `path`, from its packets alone. */
function keyFrames(path: string, fps: number): number[] {
  const input = new FormatContext();
  FFmpegError.throwIfError(input.openInputSync(path), path);
  FFmpegError.throwIfError(input.findStreamInfoSync(), path);
  const { index, timeBase } = input.streams.find((s) => s.codecpar.codecType === AVMEDIA_TYPE_VIDEO)!;
  const packet = new Packet();
  packet.alloc();
  const keys: number[] = [];
  while (input.readFrameSync(packet) >= 0) {
    const seconds = (Number(packet.pts) * timeBase.num) / timeBase.den;
    const isKey = (packet.flags & AV_PKT_FLAG_KEY) !== 0;
    if (packet.streamIndex === index && isKey && seconds >= 0) keys.push(Math.round(seconds * fps));
    packet.unref();
  }
  packet.free();
  input.closeInputSync();
  return keys;
}

describeShared("videos", () => {
  const files = {
    "AV1, key frame every 2": ["droid_subset_v30/videos/wrist_image_left/chunk-000/file-000.mp4", 5, 60],
    "H.264 with an edit list": [
      "droid_subset_v30_multifile/videos/wrist_image_left/chunk-000/file-000.mp4",
      5,
      60,
    ],
    "H.264, long groups of pictures": [
      "v20_gr00t_robot_sim_PickNPlace/videos/chunk-000/observation.images.ego_view/episode_000000.mp4",
      20,
      120,
    ],
  } as const;

  for (const [name, [file, fps, count]] of Object.entries(files)) {
    describe(name, async () => {
      const path = sharedPath("data/lerobot", file);
      const reference = await openVideo(path);
      const frames: Uint8Array[] = [];
      for (let i = 0; i < count; i++) frames.push((await reference.frame(i / fps)).data);
      const inOrder = reference.decoded;
      await reference.close();

      test("in order, every frame is decoded once", () => {
        expect(inOrder).toBe(count);
        const distinct = new Set(frames.map((f) => createHash("sha256").update(f).digest("hex")));
        expect(distinct.size).toBeGreaterThan(0.9 * count); // The robot rests at times.
      });

      test("any order gives the frames of the straight pass", async () => {
        await fc.assert(
          fc.asyncProperty(fc.array(fc.nat(count - 1), { minLength: 1, maxLength: 12 }), async (order) => {
            const video = await openVideo(path);
            // All at once: requests of one file queue up.
            const got = await Promise.all(order.map((i) => video.frame(i / fps)));
            await video.close();
            for (const [k, i] of order.entries()) expect(Buffer.compare(got[k]!.data, frames[i]!)).toBe(0);
          }),
          { numRuns: 12 },
        );
      });

      test("going forward never decodes a frame twice", async () => {
        const video = await openVideo(path);
        for (let i = 0; i < count; i += 7) await video.frame(i / fps);
        expect(video.decoded).toBeLessThanOrEqual(count);
        await video.close();
      });

      test("at random, decoding begins at the nearest key frame", async () => {
        // Key frames as an independent pass over the packets finds them.
        const keys = keyFrames(path, fps);
        expect(keys[0]).toBe(0);
        const video = await openVideo(path);
        let before = Number.POSITIVE_INFINITY;
        for (const i of [37, 4, 59, 58, 22, 0, 51]) {
          const decoded = video.decoded;
          await video.frame(i / fps);
          const key = keys.findLast((k) => k <= i)!;
          // Forward in the same group, it goes on where it stands.
          const goesOn = i > before && key <= before;
          expect(video.decoded - decoded).toBe(goesOn ? i - before : i - key + 1);
          before = i;
        }
        await video.close();
      });

      test("on the calling thread, the same pixels", async () => {
        const video = await openVideo(path, { sync: true });
        for (const i of [7, 8, 3, 30]) {
          expect(Buffer.compare((await video.frame(i / fps)).data, frames[i]!)).toBe(0);
        }
        await video.close();
      });

      test("a timestamp between frames or beyond the end is an error that names file and time", async () => {
        const video = await openVideo(path);
        await video.frame(3 / fps);
        await expect(video.frame(3.4 / fps)).rejects.toThrow(
          `${path}: no frame within 0.0001 s of ${(3.4 / fps).toFixed(6)} s (nearest: ${(3 / fps).toFixed(6)} s)`,
        );
        await expect(video.frame(1e5)).rejects.toMatchObject({ code: "dataset/video-frame" });
        expect(Buffer.compare((await video.frame(5 / fps)).data, frames[5]!)).toBe(0);
        await video.close();
      });
    });
  }

  test("truncated files: no index, or a part of the frames", async () => {
    mkdirSync(folder, { recursive: true });
    const [whole] = files["AV1, key frame every 2"];
    const path = join(folder, "cut.mp4");
    cpSync(sharedPath("data/lerobot", whole), path);
    const { length } = readFileSync(path);
    truncateSync(path, Math.floor(length / 2)); // moov comes first: the beginning still plays.
    const video = await openVideo(path);
    await expect(video.frame(0)).resolves.toMatchObject({ shape: [192, 320, 3] });
    await expect(video.frame(100)).rejects.toThrow(path);
    await video.close();
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(200), readFileSync(path).subarray(0, 600)]) {
      writeFileSync(path, bytes);
      await expect(openVideo(path)).rejects.toMatchObject({ code: "dataset/video" });
    }
  });

  test("the store's cache stays within its limit and hands out copies", async () => {
    const { fps } = sharedJson<{ fps: number }>("data/lerobot/droid_subset_v21/meta/info.json");
    const of = (e: number) =>
      sharedPath(`data/lerobot/droid_subset_v21/videos/chunk-000/wrist_image_left/episode_00000${e}.mp4`);
    const store = videoStore({ cacheBytes: 3 * 192 * 320 * 3, openVideos: 2 });
    const first = await store.pixels(of(0), 0);
    const before = first.data.slice();
    first.data.fill(0);
    // More files than decoders, all at once.
    await Promise.all(
      [0, 1, 2, 3, 4, 5].flatMap((e) => [store.pixels(of(e), 1 / fps), store.pixels(of(e), 3 / fps)]),
    );
    expect(Buffer.compare((await store.pixels(of(0), 0)).data, before)).toBe(0);
    await store.close();
  });
});
