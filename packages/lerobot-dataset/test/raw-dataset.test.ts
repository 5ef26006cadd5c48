/** @file Datasets that another writer made: tasks by column name, several row groups, MPEG-4 part 2, both layouts. */
import { join } from "node:path";
import type { NdArray } from "@insula/model-types";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { openLeRobotDataset } from "../src/index.js";
import { decodeImage } from "../src/read/images.js";
import { levelOf } from "./encode-video.js";
import { tempFolder } from "./fixtures.js";
import { rawDataset, writeRaw } from "./raw-dataset.js";

const folder = tempFolder();

describe.each(["v2.1", "v3.0"] as const)("%s", (version) => {
  test("numbers, tasks and MPEG-4 part 2 frames, each its own", async () => {
    const raw = rawDataset([6, 9, 5], version, true);
    const dir = join(folder, version);
    writeRaw(dir, raw);
    const dataset = await openLeRobotDataset(dir);
    let index = 0;
    for (const episode of raw.episodes) {
      for (const [frame, state] of episode.state.entries()) {
        const sample = await dataset.sample(index, { actionHorizon: 4 });
        expect([...(sample["state"] as NdArray<Float32Array>).data]).toEqual(state);
        const chunk = [0, 1, 2, 3].flatMap(
          (t) => episode.actions[Math.min(frame + t, episode.actions.length - 1)]!,
        );
        expect([...(sample["actions"] as NdArray<Float32Array>).data]).toEqual(chunk);
        expect(sample["task"]).toBe(raw.tasks[episode.task_index]!.task);
        const { data } = sample["cam"] as NdArray<Uint8Array>;
        const luma = 16 + (data.reduce((a, b) => a + b, 0) / data.length) * (219 / 255);
        // Neighbours are four levels apart.
        const shown = version === "v3.0" ? index : frame;
        expect(Math.abs(luma - levelOf(shown)), `frame ${index}`).toBeLessThan(2);
        index++;
      }
    }
    expect(dataset.totalFrames).toBe(20);
    await dataset.close();
  });
});

describe("images", () => {
  const picture = sharp({
    create: { width: 8, height: 6, channels: 3, background: { r: 200, g: 90, b: 10 } },
  });

  test("PNG and JPEG, grey and with alpha, become RGB", async () => {
    const forms = [
      await picture.clone().png().toBuffer(),
      await picture.clone().jpeg({ quality: 95 }).toBuffer(),
      await picture.clone().ensureAlpha().png().toBuffer(),
      await picture.clone().png({ palette: true }).toBuffer(),
    ];
    for (const bytes of forms) {
      const { data, shape } = await decodeImage(bytes, "here");
      expect(shape).toEqual([6, 8, 3]);
      for (const [c, level] of [200, 90, 10].entries())
        expect(Math.abs(Number(data[c]) - level)).toBeLessThan(4);
    }
    const grey = await decodeImage(await picture.clone().greyscale().png().toBuffer(), "here");
    expect(grey.shape).toEqual([6, 8, 3]);
  });

  test("other formats, bombs and halves are refused", async () => {
    const png = await picture.clone().png().toBuffer();
    const huge = Buffer.from(png);
    huge.writeUInt32BE(60_000, 16);
    huge.writeUInt32BE(60_000, 20);
    const svg = Buffer.from(
      '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="6"><rect width="8" height="6"/></svg>',
    );
    for (const bytes of [svg, huge, png.subarray(0, 40), new Uint8Array(0), null]) {
      await expect(decodeImage(bytes, "file: cam, row 3")).rejects.toMatchObject({
        code: "dataset/image",
        message: expect.stringContaining("file: cam, row 3: "),
      });
    }
  });
});
