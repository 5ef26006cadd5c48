/** @file A dataset that is copied from, and its episodes as a writer takes them. */
import { InsulaError, type NdArray, sizeOf, type TypedArray } from "@insula/model-types";
import type { FeatureSpec } from "../features.js";
import { type LeRobotDataset, type OpenOptions, openLeRobotDataset } from "../read/dataset.js";
import type { Episode, VideoLocation } from "../read/episodes.js";
import { type DatasetRoot, datasetRoot } from "../read/root.js";
import type { EpisodeInput, VideoCopy } from "../write/episode-input.js";
import type { ImageInput, ImageInputs } from "../write/image-input.js";
import { encodedCells } from "./encoded-cells.js";

/** An open dataset to copy from. */
export interface Source {
  readonly dataset: LeRobotDataset;
  /** Text → `task_index`, in the order of the indices. */
  readonly tasks: readonly (readonly [text: string, index: number])[];
  /**
   * An episode with the given features. Frames of a video are copied where the feature stays a video, decoded where it
   * does not.
   * @param together the episodes that are copied: a video that holds no others is copied whole.
   * @param encode decode videos, whatever becomes of them.
   */
  episode(
    episode: Episode,
    features: Readonly<Record<string, FeatureSpec>>,
    together: ReadonlySet<number>,
    encode?: boolean,
  ): Promise<EpisodeInput>;
}

/** How a source is opened. */
export type SourceOptions = Pick<OpenOptions, "toleranceS" | "followLinks">;

/** Open `dir`. @throws InsulaError as `openLeRobotDataset` */
export async function openSource(dir: string, options: SourceOptions): Promise<Source> {
  // Frames are read once, in order: nothing to keep.
  const dataset = await openLeRobotDataset(dir, { ...options, frameCacheBytes: 0, imageCacheBytes: 0 });
  const root = await datasetRoot(dataset.root, { followLinks: options.followLinks ?? false });
  const tasks = [...dataset.tasks].sort(([a], [b]) => a - b).map(([index, text]) => [text, index] as const);
  const sharing = episodesByVideo(dataset);
  return {
    dataset,
    tasks,
    async episode(episode, features, together, encode = false) {
      const { from, to, length: frames } = episode;
      const columns: Record<string, NdArray | readonly string[]> = {};
      const images: Record<string, ImageInputs> = {};
      const videos: Record<string, VideoCopy> = {};
      for (const [name, { dtype }] of Object.entries(features)) {
        const { dtype: stored } = dataset.features[name]!;
        if (dtype === "video" && stored === "video" && !encode)
          videos[name] = await videoOf(root, episode.videos[name]!, sharing, together);
        else if (stored === "image") {
          const path = await root.file(episode.data.path);
          images[name] = await encodedCells(path, name, episode.data.row, frames);
        } else if (stored === "video") images[name] = decodedFrames(dataset, name, from, to);
        else if (dtype === "string") columns[name] = await texts(dataset, name, from, to);
        else columns[name] = rows(await dataset.column(name), from, to);
      }
      const timestamps = dataset.features["timestamp"]
        ? rows(await dataset.column("timestamp"), from, to)
        : undefined;
      return {
        task: await tasksOf(dataset, episode),
        frames,
        columns,
        images,
        videos,
        ...(timestamps && { timestamps }),
      };
    },
  };
}

function rows({ data, shape }: NdArray, from: number, to: number): NdArray {
  const dims = shape.slice(1);
  const dim = sizeOf(dims);
  return { data: data.subarray(from * dim, to * dim) as TypedArray, shape: [to - from, ...dims] };
}

async function texts(dataset: LeRobotDataset, name: string, from: number, to: number): Promise<string[]> {
  const values: string[] = [];
  for (let i = from; i < to; i++) values.push((await dataset.sample(i, { cameras: [] }))[name] as string);
  return values;
}

async function* decodedFrames(
  dataset: LeRobotDataset,
  name: string,
  from: number,
  to: number,
): AsyncGenerator<ImageInput> {
  for (let i = from; i < to; i++)
    yield (await dataset.sample(i, { cameras: [name] }))[name] as NdArray<Uint8Array>;
}

/** One text, or one per frame where they differ. */
async function tasksOf(dataset: LeRobotDataset, episode: Episode): Promise<string | string[]> {
  if (!dataset.features["task_index"]) return episode.tasks[0] ?? "";
  const { data } = rows(await dataset.column("task_index"), episode.from, episode.to);
  const perFrame = Array.from(data as ArrayLike<number | bigint>, (index, frame) => {
    const text = dataset.tasks.get(Number(index));
    if (text !== undefined) return text;
    throw new InsulaError(
      "dataset/missing-key",
      `${dataset.root}: episode ${episode.index}, frame ${frame}: task_index ${index} is not in the task table`,
    );
  });
  return perFrame.every((text) => text === perFrame[0]) ? perFrame[0]! : perFrame;
}

/** The episodes that have frames in each video file. */
function episodesByVideo({ episodes }: LeRobotDataset): ReadonlyMap<string, readonly number[]> {
  const sharing = new Map<string, number[]>();
  for (const { index, videos } of episodes) {
    for (const { path } of Object.values(videos)) {
      const others = sharing.get(path);
      if (others) others.push(index);
      else sharing.set(path, [index]);
    }
  }
  return sharing;
}

async function videoOf(
  root: DatasetRoot,
  { path, fromTimestamp }: VideoLocation,
  sharing: ReadonlyMap<string, readonly number[]>,
  together: ReadonlySet<number>,
): Promise<VideoCopy> {
  const whole = sharing.get(path)!.every((index) => together.has(index));
  return { path: await root.file(path), fromTimestamp, whole };
}
