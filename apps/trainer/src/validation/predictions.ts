/**
 * @file The sampled chunks of the last validation as files of the run, so that `insula report` needs neither model nor
 * dataset to show them:
 *
 *     <run>/validation/predictions.json
 *     <run>/validation/<episode>-<frame>-<camera>.png   what the robot saw; the frames never change, written once
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { NdArray } from "@insula/model-types";
import { encodePng, type Pixels } from "../metrics/png.js";
import { spread } from "./held-out.js";
import type { SampledChunk } from "./sampled-chunk.js";

/** Chunks that are kept. */
const MOST_CHUNKS = 8;

/** One chunk. Actions are `[step][dim]`, in the robot's units. */
export interface Prediction {
  episode: number;
  frame: number;
  prompt: string;
  /** Pictures, in the folder of the file. */
  cameras: { name: string; file: string }[];
  /** Without the steps beyond the episode's end. */
  recorded: number[][];
  sampled: number[][];
}

export interface Predictions {
  step: number;
  /** Names and units of the action dims. */
  dims: readonly string[];
  chunks: readonly Prediction[];
}

const folder = (runDir: string): string => join(runDir, "validation");

/** Write the chunks of a step over those of the last; the file is complete at any moment. */
export async function writePredictions(
  runDir: string,
  { step, dims, chunks }: { step: number; dims: readonly string[]; chunks: readonly SampledChunk[] },
): Promise<void> {
  const dir = folder(runDir);
  await mkdir(dir, { recursive: true });
  const kept = spread(chunks, Math.min(MOST_CHUNKS, chunks.length));
  for (const { file, pixels } of kept.flatMap(pictureFiles)) {
    if (!existsSync(join(dir, file))) await writeWhole(join(dir, file), encodePng(pixels));
  }
  const predictions: Predictions = { step, dims, chunks: kept.map(prediction) };
  await writeWhole(join(dir, "predictions.json"), `${JSON.stringify(predictions)}\n`);
}

/** A chunk as it is kept. */
export function prediction(chunk: SampledChunk): Prediction {
  const { episode, frame, prompt, recorded, sampled } = chunk;
  return {
    episode,
    frame,
    prompt,
    cameras: pictureFiles(chunk).map(({ name, file }) => ({ name, file })),
    recorded: rows(recorded.actions).slice(0, recorded.steps),
    sampled: rows(sampled),
  };
}

/** What the robot saw, and the names of the files that hold it. */
export function pictureFiles({
  episode,
  frame,
  cameras,
}: SampledChunk): { name: string; file: string; pixels: Pixels }[] {
  return cameras.map(({ name, pixels }) => {
    const file = `${episode}-${frame}-${name.replaceAll(/[^\w.-]/g, "_")}.png`;
    return { name, file, pixels };
  });
}

/** What the last validation left; undefined when none did. */
export async function readPredictions(runDir: string): Promise<Predictions | undefined> {
  const text = await readFile(join(folder(runDir), "predictions.json"), "utf8").catch(notThere);
  return text === undefined ? undefined : (JSON.parse(text) as Predictions);
}

/** A picture of a prediction; undefined when it is not there. */
export function readPicture(runDir: string, file: string): Promise<Uint8Array | undefined> {
  return readFile(join(folder(runDir), file)).catch(notThere);
}

function notThere(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}

/** `[step][dim]`, to six digits. */
function rows({ data, shape }: NdArray): number[][] {
  const [steps, dim] = shape as [number, number];
  return Array.from({ length: steps }, (_, t) =>
    Array.from(data.slice(t * dim, (t + 1) * dim) as Float64Array, (v) => Number(Number(v).toPrecision(6))),
  );
}

async function writeWhole(path: string, content: Uint8Array | string): Promise<void> {
  await writeFile(`${path}.partial`, content);
  await rename(`${path}.partial`, path);
}
