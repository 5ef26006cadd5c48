/**
 * @file Write the sample data: a LeRobot v3.0 dataset with DROID's features as openpi names them, and the two
 * tokenizers that go with it. The same options give the same bytes.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeByteTokenizer } from "@insula/fast-tokenizer";
import { saveFastTokenizer } from "@insula/fast-tokenizer/node";
import { createLeRobotDataset, type FeatureSpec } from "@insula/lerobot-dataset";
import { ndarray } from "@insula/model-types";
import { ACTION_DIM, type Episode, FPS, sampleEpisode } from "./episode.js";
import { IMAGE_SIZE } from "./fill-polygon.js";
import { fitSampleFast } from "./fit-tokenizers.js";
import { PALETTE } from "./palette.js";
import { NUM_JOINTS } from "./panda.js";
import { makePngEncoder, type PngEncoder } from "./png.js";

import { CAMERAS, makeRenderer, type Renderer } from "./render.js";
import { checkEpisodes, DEFAULT_EPISODES } from "./splits.js";
import { textPieces } from "./text-pieces.js";

/** Part of the cache's key: raise it whenever anything that is written changes. */
export const GENERATOR_VERSION = 3;

/** What determines the sample data: equal options, equal bytes. */
export interface SampleDataOptions {
  /** Seed of every scene and motion (default 0). */
  seed?: number;
  /** Number of episodes (default 64); episode k does not depend on it. */
  episodes?: number;
}

/** Progress of the generation: `done` of `total` episodes are written. */
export type SampleDataProgress = (done: number, total: number) => void;

/** Where the sample data lie. */
export interface SampleDataPaths {
  /** LeRobot v3.0 dataset. */
  readonly datasetDir: string;
  /** Byte-level text tokenizer. */
  readonly textTokenizerPath: string;
  /** Folder with FAST's `tokenizer.json` and `processor_config.json`. */
  readonly fastTokenizerDir: string;
}

/** The layout of sample data below `dir`. */
export function sampleDataPaths(dir: string): SampleDataPaths {
  return {
    datasetDir: join(dir, "dataset"),
    textTokenizerPath: join(dir, "text_tokenizer.json"),
    fastTokenizerDir: join(dir, "fast"),
  };
}

const JOINTS = Array.from({ length: NUM_JOINTS }, (_, i) => `joint_${i}`);
const IMAGE: FeatureSpec = {
  dtype: "image",
  shape: [IMAGE_SIZE, IMAGE_SIZE, 3],
  names: ["height", "width", "channel"],
};
const FEATURES: Record<string, FeatureSpec> = {
  exterior_image_1_left: IMAGE,
  wrist_image_left: IMAGE,
  joint_position: { dtype: "float32", shape: [NUM_JOINTS], names: JOINTS },
  gripper_position: { dtype: "float32", shape: [1], names: ["gripper"] },
  actions: {
    dtype: "float32",
    shape: [ACTION_DIM],
    names: [...JOINTS.map((name) => `${name}_velocity`), "gripper_position"],
  },
};

/**
 * Generate the sample data into the folder `dir`: `dataset/`, `text_tokenizer.json` and `fast/`.
 * @throws InsulaError `sample-data/episodes`; `dataset/exists` when `dir` already holds a dataset.
 */
export async function generateSampleData(
  dir: string,
  options: SampleDataOptions = {},
  onProgress?: SampleDataProgress,
): Promise<SampleDataPaths> {
  const { seed = 0, episodes: count = DEFAULT_EPISODES } = options;
  checkEpisodes(count);
  const paths = sampleDataPaths(dir);
  await mkdir(dir, { recursive: true });
  const episodes = Array.from({ length: count }, (_, i) => sampleEpisode(seed, i));
  await writeDataset(paths.datasetDir, episodes, onProgress);
  await saveFastTokenizer(paths.fastTokenizerDir, fitSampleFast(episodes));
  const text = makeByteTokenizer({ pieces: textPieces() });
  await writeFile(paths.textTokenizerPath, `${JSON.stringify(text, null, 1)}\n`);
  return paths;
}

async function writeDataset(
  dir: string,
  episodes: readonly Episode[],
  onProgress?: SampleDataProgress,
): Promise<void> {
  const writer = await createLeRobotDataset(dir, {
    fps: FPS,
    robotType: "panda",
    features: FEATURES,
    commit: "finalize",
  });
  try {
    const renderer = makeRenderer();
    const png = makePngEncoder(PALETTE, IMAGE_SIZE, IMAGE_SIZE);
    let writing: Promise<void> = Promise.resolve();
    for (const [i, episode] of episodes.entries()) {
      // The previous episode is written while this one is drawn and compressed.
      const images = await encodeImages(renderer, png, episode);
      await writing;
      writing = writer.addEpisode({
        task: episode.task,
        frames: episode.frames,
        columns: columnsOf(episode),
        images,
      });
      writing.catch(() => {}); // awaited in the next round
      onProgress?.(i + 1, episodes.length);
    }
    await writing;
    await writer.finalize();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

function columnsOf({ frames, jointPosition, gripperPosition, actions }: Episode) {
  return {
    joint_position: ndarray(jointPosition, [frames, NUM_JOINTS]),
    gripper_position: ndarray(gripperPosition, [frames, 1]),
    actions: ndarray(actions, [frames, ACTION_DIM]),
  };
}

/** PNGs of all frames by camera: drawing runs here, compression on the thread pool meanwhile. */
async function encodeImages(
  renderer: Renderer,
  png: PngEncoder,
  episode: Episode,
): Promise<Record<string, Uint8Array[]>> {
  const out: Record<string, Uint8Array[]> = {};
  for (const camera of CAMERAS) {
    const files: Promise<Uint8Array>[] = [];
    for (let t = 0; t < episode.frames; t++)
      files.push((await png.encode(renderer.draw(episode, t, camera))).done);
    out[camera] = await Promise.all(files);
  }
  return out;
}
