/**
 * Episodes per second of the writer: 120 frames, two cameras of 224x224 PNGs, 16 numbers a frame.
 *
 * node bench/writer.mjs [--episodes N] [--rounds N]: the median round. The pictures are made beforehand; what is timed
 * is checking, statistics, parquet and getting it to the disk.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import sharp from "sharp";
import { createLeRobotDataset } from "../dist/index.js";

const { values } = parseArgs({
  options: {
    episodes: { type: "string", default: "10" },
    rounds: { type: "string", default: "3" },
    commit: { type: "string", default: "finalize,episode" },
  },
});
const episodes = Number(values.episodes);
const frames = 120;
const camera = { dtype: "image", shape: [224, 224, 3], names: ["height", "width", "channel"] };
const features = {
  exterior_image_1_left: camera,
  wrist_image_left: camera,
  joint_position: { dtype: "float32", shape: [7] },
  gripper_position: { dtype: "float32", shape: [1] },
  actions: { dtype: "float32", shape: [8] },
};
const images = await Promise.all(
  Array.from({ length: frames }, (_, i) => {
    const pixels = Buffer.from({ length: 224 * 224 * 3 }).map(
      (_, k) => ((k >> 4) * (1 + (i % 7)) + ((k * 2654435761) >>> 27)) & 255,
    );
    return sharp(pixels, { raw: { width: 224, height: 224, channels: 3 } })
      .png()
      .toBuffer();
  }),
);
const column = (dim) => ({
  data: Float32Array.from({ length: frames * dim }, (_, i) => Math.sin(i / 9)),
  shape: [frames, dim],
});
const home = await mkdtemp(join(tmpdir(), "insula-bench-writer-"));
try {
  for (const commit of values.commit.split(",")) {
    const rates = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      const dir = join(home, `${commit}-${round}`);
      const start = performance.now();
      const writer = await createLeRobotDataset(dir, { fps: 15, robotType: "panda", features, commit });
      for (let e = 0; e < episodes; e++) {
        await writer.addEpisode({
          task: `task ${e % 5}`,
          frames,
          columns: { joint_position: column(7), gripper_position: column(1), actions: column(8) },
          images: { exterior_image_1_left: images, wrist_image_left: images },
        });
      }
      await writer.finalize();
      rates.push((1000 * episodes) / (performance.now() - start));
      await rm(dir, { recursive: true });
    }
    rates.sort((a, b) => a - b);
    const median = rates[rates.length >> 1];
    console.log(
      `commit: ${commit}: ${median.toFixed(2)} episodes/s, ${Math.round(median * frames)} frames/s of ${
        Object.keys(features).length
      } features (${rates.map((r) => r.toFixed(2)).join(", ")})`,
    );
  }
} finally {
  await rm(home, { recursive: true, force: true });
}
