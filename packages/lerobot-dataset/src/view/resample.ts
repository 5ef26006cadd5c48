/**
 * @file A dataset at another frame rate. Frame `j` of an episode is what was there `j / fps` seconds after its start:
 * numbers interpolated, everything else from the nearest frame. Chunks follow the new rate.
 */
import { InsulaError, type NdArray, type Sample, sizeOf, type TypedArray } from "@insula/model-types";
import { DEFAULT_FEATURES, isNumeric } from "../features.js";
import type { LeRobotDataset } from "../read/dataset.js";
import type { Episode } from "../read/episodes.js";
import { chunkOf, episodeOf, resolveKey, rowOf, type SampleOptions } from "../read/sample.js";
import type { EpisodeSource } from "./episode-source.js";

/** Frames closer than this to a recorded one, in seconds, are that frame: timestamps are float32. */
const SNAP_S = 1e-4;

/** What is not to be interpolated, or changes with the length of a step. */
export interface ResampleOptions {
  /** Floating-point features to take from the nearest frame: angles that wrap, codes stored as floats. */
  nearest?: readonly string[];
  /**
   * Feature → dims that are displacements *per step* (LIBERO's end effector): scaled by old rate / new rate, so that
   * the path stays. Velocities per second and positions need nothing: interpolated, they mean the same at any rate.
   */
  perStep?: Readonly<Record<string, readonly number[]>>;
}

/**
 * A dataset at another rate, which stands wherever a dataset does. `info` and `episodes` count its own frames; files are
 * those of `base`, and closing it closes `base`.
 */
export interface ResampledDataset extends LeRobotDataset {
  readonly base: LeRobotDataset;
}

/**
 * `source` at `fps` frames per second, by its timestamps. Floating-point features are interpolated linearly between
 * the frames before and after, and stay float32 or float64; integers, flags, text, tasks and cameras come from the
 * nearest frame, the earlier of two. An episode ends with the last frame that is not after its recorded end. The
 * numeric columns are held in memory at both rates.
 * @throws InsulaError `resample/fps`, `resample/feature` for an option that names no such feature or dim,
 *   `resample/timestamps` when an episode's timestamps do not ascend, naming episode and frame.
 */
export async function resampleFps(
  source: LeRobotDataset,
  fps: number,
  options: ResampleOptions = {},
): Promise<ResampledDataset> {
  if (!(fps > 0 && Number.isFinite(fps))) {
    throw new InsulaError("resample/fps", `resampleFps: expected frames per second above 0, found ${fps}`);
  }
  const { nearest = [], perStep = {} } = options;
  checkOptions(source, nearest, perStep);
  const grid = makeGrid(source, await timestamps(source), fps);
  const { episodes, at, weight } = grid;
  const totalFrames = at.length;
  const columns = new Map<string, Promise<NdArray>>();

  const load = async (name: string): Promise<NdArray> => {
    if (name === "index") return counters(totalFrames, (i) => i);
    if (name === "frame_index") return counters(totalFrames, (i) => i - episodeOf(episodes, i).from);
    if (name === "episode_index") return counters(totalFrames, (i) => episodeOf(episodes, i).index);
    if (name === "timestamp") return { data: Float32Array.from(grid.seconds), shape: [totalFrames, 1] };
    const column = await source.column(name);
    const floats = column.data instanceof Float32Array || column.data instanceof Float64Array;
    const out = resampled(column, grid, floats && !nearest.includes(name));
    const dim = out.data.length / totalFrames;
    for (const d of perStep[name] ?? []) {
      for (let i = d; i < out.data.length; i += dim) (out.data as Float32Array)[i]! *= source.fps / fps;
    }
    return out;
  };
  const column = (name: string): Promise<NdArray> => {
    const key = resolveKey(name, Object.keys(source.features));
    let loaded = columns.get(key);
    if (!loaded) {
      loaded = load(key);
      columns.set(key, loaded);
      loaded.catch(() => columns.delete(key));
    }
    return loaded;
  };
  /** The recorded frame that is nearest to frame `i`. */
  const baseFrame = (i: number): number => at[i]! + (weight[i]! > 0.5 ? 1 : 0);

  return {
    ...source,
    base: source,
    info: { ...source.info, fps, totalFrames },
    fps,
    episodes,
    totalFrames,
    column,
    async sample(index, options: SampleOptions = {}) {
      if (!(Number.isSafeInteger(index) && index >= 0 && index < totalFrames)) {
        throw new InsulaError(
          "dataset/index",
          `${source.root}: frame ${index} is outside [0, ${totalFrames})`,
        );
      }
      const { actionHorizon, actionKeys = ["actions"], ...read } = options;
      const episode = episodeOf(episodes, index);
      const sample: Sample = await source.sample(baseFrame(index), read);
      for (const [name, { dtype }] of Object.entries(source.features)) {
        if (name in DEFAULT_FEATURES || !isNumeric(dtype)) continue;
        sample[name] = rowOf(await column(name), index);
      }
      if (actionHorizon !== undefined) {
        for (const key of actionKeys) {
          const name = resolveKey(key, Object.keys(source.features));
          const { chunk, isPad } = chunkOf(await column(name), index, actionHorizon, episode);
          if (name !== key) delete sample[name];
          sample[key] = chunk;
          sample[`${key}_is_pad`] = isPad;
        }
      }
      const frame = index - episode.from;
      return { ...sample, frame_index: frame, timestamp: frame / fps, index };
    },
    locate(index) {
      const episode = episodeOf(episodes, index);
      return { dataset: source.root, episode: episode.index, frame: index - episode.from };
    },
  };
}

function checkOptions(
  { root, features }: EpisodeSource,
  nearest: readonly string[],
  perStep: Readonly<Record<string, readonly number[]>>,
): void {
  const fail = (what: string): never => {
    throw new InsulaError("resample/feature", `${root}: resampleFps: ${what}`);
  };
  for (const name of [...nearest, ...Object.keys(perStep)]) {
    const feature = features[name];
    if (!feature || !isNumeric(feature.dtype)) {
      fail(`'${name}' is not one of the numeric features (${Object.keys(features).join(", ")})`);
    }
  }
  for (const [name, dims] of Object.entries(perStep)) {
    const { dtype, shape } = features[name]!;
    const width = sizeOf(shape);
    const bad = dims.find((d) => !(Number.isInteger(d) && d >= 0 && d < width));
    if (bad !== undefined) fail(`perStep.${name}: dim ${bad} of ${width}`);
    if (!dtype.startsWith("float")) fail(`perStep.${name}: expected floats, found ${dtype}`);
  }
}

/** Seconds of every frame from the start of its episode. */
async function timestamps(source: EpisodeSource): Promise<Float64Array> {
  if (Object.hasOwn(source.features, "timestamp")) {
    return Float64Array.from((await source.column("timestamp")).data as Float32Array, Number);
  }
  const seconds = new Float64Array(source.totalFrames);
  for (const { from, to } of source.episodes) {
    for (let i = from; i < to; i++) seconds[i] = (i - from) / source.fps;
  }
  return seconds;
}

/** For every new frame: the recorded frame before it, and the weight of the one after that. */
interface Grid {
  episodes: Episode[];
  at: Uint32Array;
  weight: Float64Array;
  seconds: Float64Array;
}

function makeGrid({ root, episodes }: EpisodeSource, recorded: Float64Array, fps: number): Grid {
  const out: Episode[] = [];
  let total = 0;
  for (const episode of episodes) {
    const { from, to, index } = episode;
    for (let i = from + 1; i < to; i++) {
      if (recorded[i]! > recorded[i - 1]!) continue;
      throw new InsulaError(
        "resample/timestamps",
        `${root}: episode ${index}, frame ${i - from}: timestamp ${recorded[i]} does not follow ${recorded[i - 1]}`,
      );
    }
    const duration = recorded[to - 1]! - recorded[from]!;
    const length = Math.floor((duration + SNAP_S) * fps) + 1;
    out.push({ ...episode, length, from: total, to: total + length });
    total += length;
  }
  const at = new Uint32Array(total);
  const weight = new Float64Array(total);
  const seconds = new Float64Array(total);
  for (const [e, { from, length }] of out.entries()) {
    const { from: first, to } = episodes[e]!;
    let frame = first;
    for (let j = 0; j < length; j++) {
      const time = recorded[first]! + j / fps;
      while (frame + 1 < to && recorded[frame + 1]! <= time + SNAP_S) frame++;
      const past = time - recorded[frame]!;
      at[from + j] = frame;
      seconds[from + j] = j / fps;
      if (past > SNAP_S && frame + 1 < to)
        weight[from + j] = past / (recorded[frame + 1]! - recorded[frame]!);
    }
  }
  return { episodes: out, at, weight, seconds };
}

/** Frame `at`, moved towards the next by `weight`, linearly or to the nearer of the two. */
function resampled({ data, shape }: NdArray, { at, weight }: Grid, linear: boolean): NdArray {
  const dims = shape.slice(1);
  const dim = sizeOf(dims);
  const out = new (data.constructor as new (length: number) => TypedArray)(at.length * dim);
  for (const [i, frame] of at.entries()) {
    const w = weight[i]!;
    const near = (w > 0.5 ? frame + 1 : frame) * dim;
    if (w === 0 || !linear) out.set(data.subarray(near, near + dim) as never, i * dim);
    else {
      const from = data as Float32Array;
      for (let d = 0; d < dim; d++) {
        out[i * dim + d] = (1 - w) * from[frame * dim + d]! + w * from[(frame + 1) * dim + d]!;
      }
    }
  }
  return { data: out, shape: [at.length, ...dims] };
}

function counters(length: number, value: (i: number) => number): NdArray {
  return { data: BigInt64Array.from({ length }, (_, i) => BigInt(value(i))), shape: [length, 1] };
}
