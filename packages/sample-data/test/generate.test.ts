import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { loadFastTokenizer, loadTextTokenizer } from "@insula/fast-tokenizer/node";
import { openLeRobotDataset } from "@insula/lerobot-dataset";
import { isNdArray, type NdArray } from "@insula/model-types";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sampleEpisode } from "../src/episode.js";
import { generateSampleData, type SampleDataPaths } from "../src/generate.js";
import { CAMERAS, makeRenderer } from "../src/render.js";

const EPISODES = 3;
const root = mkdtempSync(join(tmpdir(), "insula-sample-data-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Relative path → hash of the bytes, of every file below `dir`. */
function hashes(dir: string): Record<string, string> {
  const files = readdirSync(dir, { recursive: true, encoding: "utf8" })
    .map((name) => join(dir, name))
    .filter((path) => statSync(path).isFile())
    .sort();
  const hash = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");
  return Object.fromEntries(files.map((path) => [relative(dir, path), hash(path)]));
}

describe("generateSampleData", () => {
  let paths: SampleDataPaths;
  const progress: number[][] = [];
  beforeAll(async () => {
    paths = await generateSampleData(join(root, "a"), { episodes: EPISODES, seed: 5 }, (done, total) =>
      progress.push([done, total]),
    );
  });

  test("a LeRobot v3.0 dataset with DROID's features", async () => {
    const dataset = await openLeRobotDataset(paths.datasetDir);
    expect(dataset.info.codebaseVersion).toBe("v3.0");
    expect(dataset.fps).toBe(15);
    expect(dataset.cameras).toEqual([...CAMERAS]);
    expect(dataset.episodes).toHaveLength(EPISODES);
    expect(dataset.features).toMatchObject({
      joint_position: { dtype: "float32", shape: [7] },
      gripper_position: { dtype: "float32", shape: [1] },
      actions: { dtype: "float32", shape: [8] },
      wrist_image_left: { dtype: "image", shape: [224, 224, 3] },
    });
    await dataset.close();
  });

  test("rows, sentences and pictures are those of the episodes", async () => {
    const dataset = await openLeRobotDataset(paths.datasetDir);
    const renderer = makeRenderer();
    const columns = await Promise.all(
      ["joint_position", "gripper_position", "actions"].map((name) => dataset.column(name)),
    );
    for (const [k, { from, to }] of dataset.episodes.entries()) {
      const episode = sampleEpisode(5, k);
      expect(to - from).toBe(episode.frames);
      const expected = [episode.jointPosition, episode.gripperPosition, episode.actions];
      columns.forEach(({ data }, c) => {
        const dim = data.length / dataset.totalFrames;
        expect(data.slice(from * dim, to * dim)).toEqual(expected[c]);
      });
      for (const t of [0, 31, episode.frames - 1]) {
        const sample = await dataset.sample(from + t);
        expect(sample["task"]).toBe(episode.task);
        for (const camera of CAMERAS) {
          const picture = sample[camera] as NdArray;
          expect(isNdArray(picture)).toBe(true);
          expect(picture.shape).toEqual([224, 224, 3]);
          expect(Buffer.compare(picture.data as Uint8Array, renderer.rgb(episode, t, camera).data)).toBe(0);
        }
      }
    }
    await dataset.close();
  });

  test("both tokenizers load", async () => {
    const text = await loadTextTokenizer(paths.textTokenizerPath);
    expect(text.encode("Task: reach the red ball")).toHaveLength(5);
    const fast = await loadFastTokenizer(paths.fastTokenizerDir);
    expect(fast.vocabSize).toBeLessThanOrEqual(512);
  });

  test("progress counts episodes", () => {
    expect(progress).toEqual([
      [1, 3],
      [2, 3],
      [3, 3],
    ]);
  });

  test("the same options give the same bytes, another seed gives others", async () => {
    await generateSampleData(join(root, "b"), { episodes: EPISODES, seed: 5 });
    const first = hashes(join(root, "a"));
    expect(Object.keys(first)).toContain(join("dataset", "meta", "info.json"));
    expect(hashes(join(root, "b"))).toEqual(first);
    await generateSampleData(join(root, "c"), { episodes: 1, seed: 6 });
    expect(hashes(join(root, "c"))).not.toEqual(first);
  });

  test("an existing dataset is not overwritten", async () => {
    await expect(generateSampleData(join(root, "a"), { episodes: 1 })).rejects.toMatchObject({
      code: "dataset/exists",
    });
  });
});
